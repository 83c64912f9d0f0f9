/* sched/message.c - see message.h. */
#include "sched/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"

#define RECEIVE_BYTES ((size_t)1 << 16)

void mg_message_put_int(mg_buf *message, int64_t value)
{
    mg_buf_add(message, mg_str_make((const char *)&value, sizeof(value)));
}

void mg_message_put_number(mg_buf *message, double value)
{
    mg_buf_add(message, mg_str_make((const char *)&value, sizeof(value)));
}

void mg_message_put_text(mg_buf *message, mg_str text)
{
    mg_message_put_int(message, (int64_t)text.size);
    mg_buf_add(message, text);
}

/* The next size bytes, empty when there are not so many. */
static mg_str take(mg_message_reader *reader, size_t size)
{
    if (reader->bad || size > reader->rest.size) {
        reader->bad = true;
        return mg_str_of("");
    }
    mg_str piece = mg_str_slice(reader->rest, 0, size);
    reader->rest = mg_str_slice(reader->rest, size, reader->rest.size);
    return piece;
}

int64_t mg_message_take_int(mg_message_reader *reader)
{
    int64_t value = 0;
    mg_str bytes = take(reader, sizeof(value));
    if (!reader->bad) {
        memcpy(&value, bytes.data, sizeof(value));
    }
    return value;
}

double mg_message_take_number(mg_message_reader *reader)
{
    double value = 0.0;
    mg_str bytes = take(reader, sizeof(value));
    if (!reader->bad) {
        memcpy(&value, bytes.data, sizeof(value));
    }
    return value;
}

mg_str mg_message_take_text(mg_message_reader *reader)
{
    int64_t size = mg_message_take_int(reader);
    if (size < 0) {
        reader->bad = true;
    }
    return take(reader, (size_t)size);
}

static mg_status send_bytes(int fd, const char *bytes, size_t size, mg_error *err)
{
    size_t sent = 0;
    while (sent < size) {
        ssize_t count = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EINTR) {
            return mg_fail(err, MG_ERR_IO, "the other process is gone: %s", strerror(errno));
        }
        sent += count > 0 ? (size_t)count : 0;
    }
    return MG_OK;
}

mg_status mg_frame_send(int fd, mg_str payload, mg_error *err)
{
    uint64_t size = payload.size;
    MG_TRY(send_bytes(fd, (const char *)&size, sizeof(size), err));
    return send_bytes(fd, payload.data, payload.size, err);
}

mg_status mg_frame_take(mg_str received, size_t *at, bool *found_out, mg_str *payload_out,
                        mg_error *err)
{
    uint64_t size = 0;
    *found_out = false;
    *payload_out = mg_str_of("");
    if (received.size - *at < sizeof(size)) {
        return MG_OK;
    }
    memcpy(&size, received.data + *at, sizeof(size));
    if (size > MG_FRAME_BYTES_MAX) {
        return mg_fail(err, MG_ERR_FORMAT, "a message of another process is damaged");
    }
    if (received.size - *at - sizeof(size) < size) {
        return MG_OK;
    }
    *payload_out = mg_str_make(received.data + *at + sizeof(size), (size_t)size);
    *at += sizeof(size) + (size_t)size;
    *found_out = true;
    return MG_OK;
}

void mg_frame_receive(int fd, mg_buf *received, size_t *count_out)
{
    ssize_t count;
    mg_buf_reserve(received, RECEIVE_BYTES);
    do {
        count = recv(fd, received->data + received->size, RECEIVE_BYTES, 0);
    } while (count < 0 && errno == EINTR);
    *count_out = count > 0 ? (size_t)count : 0;
    received->size += *count_out;
}
