/* tensor/writer_internal.h - a thread that writes while the next tensor is computed.
 *
 * It owns two buffers.  The caller fills one, submits it with the task that writes it, and fills
 * the other meanwhile.  Tasks run one after another in the order they were submitted; after the
 * first failure the rest are dropped.  Thread-safety: one caller at a time. */
#pragma once

#include "base/compiler.h"
#include "base/error.h"

MG_BEGIN_C

typedef struct mg_writer mg_writer;

/* data is the buffer submitted with the task, or NULL. */
typedef mg_status mg_writer_task(void *context, const void *data, mg_error *err);

/* Fails where no thread can be started: MG_ERR_MEMORY. */
MG_MUST_CHECK mg_status mg_writer_create(mg_writer **writer_out, mg_error *err);
/* A buffer of bytes, aligned to 64, for the next submit; waits for a free one.  Gives the failure
 * of an earlier task. */
MG_MUST_CHECK mg_status mg_writer_reserve(mg_writer *writer, size_t bytes, void **data_out,
                                          mg_error *err);
/* Queues task; with_buffer hands over the reserved buffer.  context must live until the task ran.
 */
void mg_writer_submit(mg_writer *writer, mg_writer_task *task, void *context, bool with_buffer);
/* Waits until all tasks are done; the first failure. */
MG_MUST_CHECK mg_status mg_writer_finish(mg_writer *writer, mg_error *err);
void mg_writer_destroy(mg_writer *writer); /* drops what has not begun; NULL is fine */

MG_END_C
