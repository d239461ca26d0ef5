'use strict';
// What a warm Node.js runs while it waits: it says that it is ready, takes one request, becomes that program. The
// request's form is in sandbox/README.md, section 5. Nothing here guards anything: the sandbox around it does.

const fs = require('fs');
const path = require('path');
const Module = require('module');

const FEED = 3;
const READY = 4;

function readFully(length) {
  const buffer = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const got = fs.readSync(FEED, buffer, filled, length - filled, null);
    if (got === 0) break;
    filled += got;
  }
  return buffer.subarray(0, filled);
}

for (const name of process.argv.slice(2)) require(name);
fs.writeSync(READY, '\n');
fs.closeSync(READY);
const length = readFully(4);
if (length.length === 0) process.exit(0); // nobody needed this interpreter
const request = JSON.parse(readFully(length.readUInt32BE(0)).toString());
fs.unlinkSync(__filename); // before the files: the program may have one of a like name
for (const [name, size] of request.files) {
  fs.mkdirSync(path.dirname(name), { recursive: true });
  fs.writeFileSync(name, readFully(size), { flag: 'wx', mode: name.startsWith('/code/') ? 0o444 : 0o644 });
}
fs.closeSync(FEED);
Object.assign(process.env, request.env);
process.argv = [process.argv[0], '/code/main.js', ...request.argv];
delete require.cache[__filename];
Module.runMain(); // what `node /code/main.js` does with process.argv[1]
