/* What a publisher gets from JetStream that does nothing but publish: publisher URL SUBJECT COUNT IN_FLIGHT TURN.
 *
 * By NATS' own C client, asynchronously: every message is acknowledged and each acknowledgement belongs to its message,
 * so many unacknowledged at a time. The messages are those of a replay of dead letters, and are made before the clock
 * starts. Prints the seconds from the first publish to the last acknowledgement; ends with 1 if one was not stored.
 */
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_BYTES 200
#define SUBJECTS 3

static void check(natsStatus status, const char *what) {
    if (status == NATS_OK) return;
    fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
    exit(1);
}

static void refused(jsCtx *js, jsPubAckErr *error, void *closure) {
    (void)js;
    (void)closure;
    fprintf(stderr, "a message was not stored: %s\n", error->ErrText ? error->ErrText : natsStatus_GetText(error->Err));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static natsMsg *message(const char *subject, const char *turn, int number) {
    char full[256], body[TEXT_BYTES + 128], text[TEXT_BYTES + 1], letter[37], id[64];
    natsMsg *made = NULL;
    memset(text, 'x', TEXT_BYTES);
    text[TEXT_BYTES] = 0;
    snprintf(full, sizeof full, "%s%d", subject, number % SUBJECTS);
    int size = snprintf(body, sizeof body, "{\"v\": 1, \"number\": %d, \"text\": \"%s\"}", number, text);
    /* As long as a letter's id; another for every message and turn. */
    snprintf(letter, sizeof letter, "%08x-0000-7000-8000-%-4.4s%08x", number, turn, number);
    snprintf(id, sizeof id, "replay:%s:1", letter);
    check(natsMsg_Create(&made, full, NULL, body, size), "natsMsg_Create");
    check(natsMsgHeader_Set(made, "golden-tenant", "default"), "natsMsgHeader_Set");
    check(natsMsgHeader_Set(made, "Golden-Replay-Of", letter), "natsMsgHeader_Set");
    check(natsMsgHeader_Set(made, "Nats-Msg-Id", id), "natsMsgHeader_Set");
    return made;
}

int main(int count, char **words) {
    if (count != 6) {
        fprintf(stderr, "publisher URL SUBJECT COUNT IN_FLIGHT TURN\n");
        return 2;
    }
    int total = atoi(words[3]);
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    jsCtx *js = NULL;
    jsOptions jetstream;
    jsPubOptions wait;
    check(natsOptions_Create(&options), "natsOptions_Create");
    check(natsOptions_SetURL(options, words[1]), "natsOptions_SetURL");
    check(natsConnection_Connect(&connection, options), "natsConnection_Connect");
    check(jsOptions_Init(&jetstream), "jsOptions_Init");
    jetstream.PublishAsync.MaxPending = atoi(words[4]);
    jetstream.PublishAsync.ErrHandler = refused;
    check(natsConnection_JetStream(&js, connection, &jetstream), "natsConnection_JetStream");
    natsMsg **messages = calloc((size_t)total, sizeof *messages);
    if (!messages) return 1;
    for (int number = 0; number < total; number++) messages[number] = message(words[2], words[5], number);

    double start = now();
    for (int number = 0; number < total; number++) {
        check(js_PublishMsgAsync(js, &messages[number], NULL), "js_PublishMsgAsync");
    }
    check(jsPubOptions_Init(&wait), "jsPubOptions_Init");
    wait.MaxWait = 60000;
    check(js_PublishAsyncComplete(js, &wait), "js_PublishAsyncComplete");
    printf("%.6f\n", now() - start);

    free(messages);
    jsCtx_Destroy(js);
    natsConnection_Destroy(connection);
    natsOptions_Destroy(options);
    nats_Close();
    return 0;
}
