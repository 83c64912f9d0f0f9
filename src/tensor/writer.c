/* tensor/writer.c - a thread that writes while the next tensor is computed.
 *
 * The states of a buffer:   FREE --reserve--> FILLING --submit--> QUEUED --task done--> FREE
 *
 * Both buffers together stay within WRITER_BYTES_MAX unless one tensor alone is larger: then there
 * is one buffer, and writing does not overlap. */
#include "tensor/writer_internal.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/memory.h"

#define WRITER_BYTES_MAX ((size_t)512 << 20)
#define QUEUE_CAP 16

typedef enum buffer_state { BUFFER_FREE, BUFFER_FILLING, BUFFER_QUEUED } buffer_state;

typedef struct write_buffer {
    void *data;
    size_t cap;
    buffer_state state;
} write_buffer;

typedef struct write_job {
    mg_writer_task *task;
    void *context;
    write_buffer *buffer; /* NULL = none */
} write_job;

struct mg_writer {
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    write_buffer buffers[2];
    write_job jobs[QUEUE_CAP]; /* a ring */
    int first;
    int count; /* waiting, and the one that runs */
    bool stop;
    mg_status status; /* the first failure, with its message */
    mg_error error;
};

static void *run_jobs(void *argument)
{
    mg_writer *writer = (mg_writer *)argument;
    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        while (writer->count == 0 && !writer->stop) {
            pthread_cond_wait(&writer->changed, &writer->mutex);
        }
        if (writer->stop) {
            break;
        }
        write_job job = writer->jobs[writer->first];
        bool skip = writer->status != MG_OK;
        pthread_mutex_unlock(&writer->mutex);

        mg_error error;
        mg_error_clear(&error);
        mg_status status =
            skip ? MG_OK
                 : job.task(job.context, job.buffer != NULL ? job.buffer->data : NULL, &error);

        pthread_mutex_lock(&writer->mutex);
        if (status != MG_OK) {
            writer->status = status;
            writer->error = error;
        }
        if (job.buffer != NULL) {
            job.buffer->state = BUFFER_FREE;
        }
        writer->first = (writer->first + 1) % QUEUE_CAP;
        writer->count--;
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

mg_status mg_writer_create(mg_writer **writer_out, mg_error *err)
{
    *writer_out = NULL;
    mg_writer *writer = mg_new(mg_writer);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->changed, NULL);
    if (pthread_create(&writer->thread, NULL, run_jobs, writer) != 0) {
        pthread_cond_destroy(&writer->changed);
        pthread_mutex_destroy(&writer->mutex);
        mg_free(writer);
        return mg_fail(err, MG_ERR_MEMORY, "cannot start a thread for writing");
    }
    *writer_out = writer;
    return MG_OK;
}

/* A buffer that can take bytes now, within the limit; NULL when one must be waited for.  Prefers
 * one that is large enough already, and gives up the other when only one fits. */
static write_buffer *choose_buffer(mg_writer *writer, size_t bytes)
{
    write_buffer *a = &writer->buffers[0];
    write_buffer *b = &writer->buffers[1];
    if (a->state == BUFFER_FREE && a->cap >= bytes) {
        return a;
    }
    if (b->state == BUFFER_FREE && b->cap >= bytes) {
        return b;
    }
    if (a->state == BUFFER_FREE && b->state == BUFFER_FREE) {
        return a->cap >= b->cap ? a : b;
    }
    write_buffer *free_one = a->state == BUFFER_FREE ? a : b->state == BUFFER_FREE ? b : NULL;
    const write_buffer *other = free_one == a ? b : a;
    bool fits = free_one != NULL && other->cap <= WRITER_BYTES_MAX &&
                bytes <= WRITER_BYTES_MAX - other->cap;
    return fits ? free_one : NULL;
}

/* Makes room in buffer, which the caller holds; drops the other buffer when both are too much. */
static mg_status grow_buffer(mg_writer *writer, write_buffer *buffer, size_t bytes, mg_error *err)
{
    write_buffer *other = buffer == &writer->buffers[0] ? &writer->buffers[1] : &writer->buffers[0];
    if (other->state == BUFFER_FREE &&
        (other->cap > WRITER_BYTES_MAX || bytes > WRITER_BYTES_MAX - other->cap)) {
        mg_free_aligned(other->data);
        other->data = NULL;
        other->cap = 0;
    }
    mg_free_aligned(buffer->data);
    buffer->data = NULL;
    buffer->cap = 0;
    MG_TRY(mg_memory_try(MG_MAX(bytes, 64), "an output tensor", &buffer->data, err));
    buffer->cap = MG_MAX(bytes, 64);
    return MG_OK;
}

mg_status mg_writer_reserve(mg_writer *writer, size_t bytes, void **data_out, mg_error *err)
{
    *data_out = NULL;
    pthread_mutex_lock(&writer->mutex);
    MG_ASSERT(writer->buffers[0].state != BUFFER_FILLING &&
              writer->buffers[1].state != BUFFER_FILLING);
    write_buffer *buffer = NULL;
    while (writer->status == MG_OK && (buffer = choose_buffer(writer, bytes)) == NULL) {
        pthread_cond_wait(&writer->changed, &writer->mutex);
    }
    mg_status status = writer->status;
    if (status != MG_OK) {
        (void)mg_fail(err, status, "%s", writer->error.message);
    } else if (buffer->cap < bytes || buffer->data == NULL) {
        status = grow_buffer(writer, buffer, bytes, err);
    }
    if (status == MG_OK) {
        buffer->state = BUFFER_FILLING;
        *data_out = buffer->data;
    }
    pthread_mutex_unlock(&writer->mutex);
    return status;
}

void mg_writer_submit(mg_writer *writer, mg_writer_task *task, void *context, bool with_buffer)
{
    pthread_mutex_lock(&writer->mutex);
    while (writer->count == QUEUE_CAP) {
        pthread_cond_wait(&writer->changed, &writer->mutex);
    }
    write_buffer *buffer = NULL;
    for (int i = 0; i < 2 && with_buffer; i++) {
        if (writer->buffers[i].state == BUFFER_FILLING) {
            buffer = &writer->buffers[i];
            buffer->state = BUFFER_QUEUED;
        }
    }
    MG_ASSERT(!with_buffer || buffer != NULL);
    write_job *job = &writer->jobs[(writer->first + writer->count) % QUEUE_CAP];
    job->task = task;
    job->context = context;
    job->buffer = buffer;
    writer->count++;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
}

mg_status mg_writer_finish(mg_writer *writer, mg_error *err)
{
    pthread_mutex_lock(&writer->mutex);
    while (writer->count > 0) {
        pthread_cond_wait(&writer->changed, &writer->mutex);
    }
    mg_status status = writer->status;
    if (status != MG_OK) {
        (void)mg_fail(err, status, "%s", writer->error.message);
    }
    pthread_mutex_unlock(&writer->mutex);
    return status;
}

void mg_writer_destroy(mg_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    pthread_mutex_lock(&writer->mutex);
    writer->stop = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->mutex);
    for (int i = 0; i < 2; i++) {
        mg_free_aligned(writer->buffers[i].data);
    }
    mg_free(writer);
}
