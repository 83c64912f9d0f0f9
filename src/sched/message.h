/* sched/message.h - numbers and texts in a row of bytes, between processes of one machine.
 *
 * A frame on a socket is its size, 8 bytes, then so many bytes; what stands inside is written and
 * read by the functions here in the same order.  A reader that runs over the end, or meets a size
 * that cannot be, is bad from then on and gives zeros: one look at the end is enough.
 * Thread-safety: a message or reader belongs to one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

/* Larger frames are refused: answers of one candidate stay far below. */
#define MG_FRAME_BYTES_MAX ((size_t)1 << 31)

void mg_message_put_int(mg_buf *message, int64_t value);
void mg_message_put_number(mg_buf *message, double value);
void mg_message_put_text(mg_buf *message, mg_str text);

typedef struct mg_message_reader {
    mg_str rest; /* borrowed */
    bool bad;
} mg_message_reader;

int64_t mg_message_take_int(mg_message_reader *reader);
double mg_message_take_number(mg_message_reader *reader);
mg_str mg_message_take_text(mg_message_reader *reader); /* borrowed from the message */

/* Sends a whole frame, waiting as long as it takes.  MG_ERR_IO when the other end is gone. */
MG_MUST_CHECK mg_status mg_frame_send(int fd, mg_str payload, mg_error *err);

/* Takes the next whole frame out of the bytes received so far, from *at on, which moves behind it;
 * false when there is none yet.  MG_ERR_FORMAT for a size above MG_FRAME_BYTES_MAX. */
MG_MUST_CHECK mg_status mg_frame_take(mg_str received, size_t *at, bool *found_out,
                                      mg_str *payload_out, mg_error *err);
/* Receives what is there, at least a byte unless the other end is closed, and appends it;
 * *count_out is 0 when it is closed or gone. */
void mg_frame_receive(int fd, mg_buf *received, size_t *count_out);

MG_END_C
