/* sched/worker.c - see worker.h. */
#include "sched/worker.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/memory.h"
#include "sched/frame_internal.h"
#include "sched/message.h"

static mg_status send_kind(int fd, mg_frame_kind kind, mg_error *err)
{
    mg_buf frame = { 0 };
    mg_message_put_int(&frame, kind);
    mg_status status = mg_frame_send(fd, mg_buf_view(&frame), err);
    mg_buf_release(&frame);
    return status;
}

/* The next request, which lies in received until the next call; *ended_out without one. */
static mg_status next_request(int fd, mg_buf *received, size_t *used, mg_str *request_out,
                              bool *ended_out, mg_error *err)
{
    bool found = false;
    size_t count = 1;
    memmove(received->data, received->data + *used, received->size - *used);
    received->size -= *used;
    *used = 0;
    while (true) {
        MG_TRY(mg_frame_take(mg_buf_view(received), used, &found, request_out, err));
        *ended_out = !found && count == 0;
        if (found || count == 0) {
            return MG_OK;
        }
        mg_frame_receive(fd, received, &count);
    }
}

mg_status mg_worker_serve(int fd, mg_worker_answer *answer, void *context, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf received = { 0 };
    mg_buf frame = { 0 };
    mg_str request;
    size_t used = 0;
    bool ended = false;
    (void)prctl(PR_SET_PDEATHSIG,
                SIGKILL); /* a request may take minutes: the parent's end ends it */
    mg_buf_reserve(&received, 1);
    MG_TRY_OR_DONE(send_kind(fd, MG_FRAME_READY, err));
    while (true) {
        MG_TRY_OR_DONE(next_request(fd, &received, &used, &request, &ended, err));
        if (ended) {
            goto done;
        }
        mg_buf_clear(&frame);
        mg_message_put_int(&frame, MG_FRAME_ANSWER);
        answer(context, request, &frame);
        MG_TRY_OR_DONE(mg_frame_send(fd, mg_buf_view(&frame), err));
    }

done:
    mg_buf_release(&frame);
    mg_buf_release(&received);
    return status;
}

void mg_worker_refuse(int fd, const mg_error *why)
{
    mg_buf frame = { 0 };
    mg_message_put_int(&frame, MG_FRAME_REFUSED);
    mg_message_put_int(&frame, why->status);
    mg_message_put_text(&frame, mg_str_of(why->message));
    if (mg_frame_send(fd, mg_buf_view(&frame), NULL) != MG_OK) {
        /* Without a parent there is no one to tell. */
    }
    mg_buf_release(&frame);
}
