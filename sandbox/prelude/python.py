"""What a warm Python interpreter runs while it waits: it imports what was asked for, says that it is ready, takes one
request, becomes that program. The request's form is in sandbox/README.md, section 5.

Nothing here guards anything: the sandbox around this process does. The prelude only has to leave the program an
interpreter as fresh as a cold one; a program of which some file would have to stand for what is imported already gets
a cold one, in the same sandbox.
"""

import sys

FEED, READY = 3, 4


def wait_for_request(modules):
    import gc
    import io
    import json
    import os

    for name in modules:
        __import__(name)
    compile("", "", "exec")  # its first call makes the types of ast, which takes as long as all that is left to do
    gc.freeze()  # what is imported lives as long as the interpreter: its end need not search it for garbage
    os.write(READY, b"\n")
    os.close(READY)
    with io.open(FEED, "rb", 1 << 16) as feed:
        length = feed.read(4)
        if not length:
            os._exit(0)  # nobody needed this interpreter
        request = json.loads(feed.read(int.from_bytes(length, "big")))
        os.unlink(__file__)  # before the files: the program may have one of a like name
        for path, size in request["files"]:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with io.open(path, "xb") as file:
                file.write(feed.read(size))
            if path.startswith("/code/"):
                os.chmod(path, 0o444)  # as those of a cold start
    os.environ.update(request["env"])
    names = {path.split("/")[2].split(".")[0] for path, _ in request["files"] if path.startswith("/code/")}
    if not names.isdisjoint(sys.modules):
        os.execv(request["run"][0], request["run"])
    if "random" in sys.modules:
        sys.modules["random"].seed()  # as good as new: its first seed is as old as this process
    return ["/code/main.py", *request["argv"]]


def become(argv):
    """Leaves in the interpreter what `python3 /code/main.py` would: sys.argv, sys.path and an empty __main__. Without
    `site`, what a cold start has of it, too: see `run` in sandbox/languages/python.json."""
    import _sitebuiltins as site
    import builtins

    path = argv[0]
    with open(path, "rb") as file:
        source = file.read()
    sys.argv = argv
    sys.path += ["/usr/lib/python3/dist-packages", sys.path[2] + "/site-packages"]
    builtins.exit = site.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = site.Quitter("quit", "Ctrl-D (i.e. EOF)")
    builtins.help = site._Helper()
    prelude, show = __file__, sys.__excepthook__

    def hide_prelude(kind, error, trace):
        while trace and trace.tb_frame.f_code.co_filename == prelude:
            trace = trace.tb_next
        show(kind, error.with_traceback(trace), trace)

    sys.excepthook = hide_prelude
    code = compile(source, path, "exec")
    main = sys.modules["__main__"].__dict__
    loader = type(main["__loader__"])("__main__", path)
    main.clear()
    main.update(
        __name__="__main__",
        __doc__=None,
        __package__=None,
        __loader__=loader,
        __spec__=None,
        __annotations__={},
        __builtins__=builtins,
        __file__=path,
        __cached__=None,
    )
    return code, main


if __name__ == "__main__":
    exec(*become(wait_for_request(sys.argv[1:])))
