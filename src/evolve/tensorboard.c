/* evolve/tensorboard.c - see tensorboard.h.
 *
 * Messages, in protocol buffer wire format:
 *   Event    1: wall_time (double)  2: step (varint)  3: file_version (string)  5: summary
 *   Summary  1: value (repeated)    Value  1: tag (string)  2: simple_value (float) */
#include "evolve/tensorboard.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/str.h"

#define CRC32C_POLYNOMIAL 0x82f63b78u /* reflected */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct mg_tensorboard {
    FILE *file;
    char *path;
};

static uint32_t crc32c(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1u) != 0 ? CRC32C_POLYNOMIAL : 0u);
        }
    }
    return ~crc;
}

/* Checksums are stored turned and shifted, so that data holding checksums keep good ones. */
static uint32_t masked_crc(const void *data, size_t size)
{
    uint32_t crc = crc32c(data, size);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void put_varint(mg_buf *out, uint64_t value)
{
    while (value >= 0x80) {
        mg_buf_add_char(out, (char)(value | 0x80));
        value >>= 7;
    }
    mg_buf_add_char(out, (char)value);
}

static void put_key(mg_buf *out, unsigned field, unsigned wire)
{
    put_varint(out, field << 3 | wire);
}

static void put_raw(mg_buf *out, const void *data, size_t size)
{
    mg_buf_add(out, mg_str_make((const char *)data, size));
}

static void put_bytes(mg_buf *out, unsigned field, mg_str text)
{
    put_key(out, field, WIRE_BYTES);
    put_varint(out, text.size);
    mg_buf_add(out, text);
}

static void put_time(mg_buf *out, double time)
{
    put_key(out, 1, WIRE_64);
    put_raw(out, &time, sizeof(time));
}

static mg_status write_record(mg_tensorboard *board, const mg_buf *event, mg_error *err)
{
    uint64_t length = event->size;
    uint32_t length_crc = masked_crc(&length, sizeof(length));
    uint32_t data_crc = masked_crc(event->data, event->size);
    bool written = fwrite(&length, sizeof(length), 1, board->file) == 1 &&
                   fwrite(&length_crc, sizeof(length_crc), 1, board->file) == 1 &&
                   fwrite(event->data, event->size, 1, board->file) == 1 &&
                   fwrite(&data_crc, sizeof(data_crc), 1, board->file) == 1 &&
                   fflush(board->file) == 0;
    if (!written) {
        return mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO, "%s: cannot be written: %s",
                       board->path, strerror(errno));
    }
    return MG_OK;
}

mg_status mg_tensorboard_open(const char *folder, double time, mg_tensorboard **board_out,
                              mg_error *err)
{
    *board_out = NULL;
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_buf event = { 0 };
    mg_tensorboard *board = mg_new(mg_tensorboard);
    mg_str name = mg_arena_printf(&arena, "events.out.tfevents.%010lld.merganser.%ld",
                                  (long long)time, (long)getpid());
    board->path = mg_strdup(mg_path_join(&arena, folder, name.data).data);
    MG_TRY_OR_DONE(mg_folder_make(folder, err));
    board->file = fopen(board->path, "ab");
    if (board->file == NULL) {
        status = mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO,
                         "%s: cannot be written: %s", board->path, strerror(errno));
        goto done;
    }
    put_time(&event, time);
    put_bytes(&event, 3, mg_str_of("brain.Event:2"));
    MG_TRY_OR_DONE(write_record(board, &event, err));
    *board_out = board;
    board = NULL;

done:
    mg_tensorboard_close(board);
    mg_buf_release(&event);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_tensorboard_add(mg_tensorboard *board, double time, int64_t step,
                             const mg_scalar *scalars, int64_t count, mg_error *err)
{
    mg_buf event = { 0 };
    mg_buf summary = { 0 };
    mg_buf value = { 0 };
    for (int64_t i = 0; i < count; i++) {
        float number = (float)scalars[i].value;
        mg_buf_clear(&value);
        put_bytes(&value, 1, mg_str_of(scalars[i].tag));
        put_key(&value, 2, WIRE_32);
        put_raw(&value, &number, sizeof(number));
        put_bytes(&summary, 1, mg_buf_view(&value));
    }
    put_time(&event, time);
    put_key(&event, 2, WIRE_VARINT);
    put_varint(&event, (uint64_t)step);
    put_bytes(&event, 5, mg_buf_view(&summary));
    mg_status status = write_record(board, &event, err);
    mg_buf_release(&event);
    mg_buf_release(&summary);
    mg_buf_release(&value);
    return status;
}

void mg_tensorboard_close(mg_tensorboard *board)
{
    if (board != NULL) {
        if (board->file != NULL) {
            fclose(board->file);
        }
        mg_free(board->path);
        mg_free(board);
    }
}
