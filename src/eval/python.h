/* eval/python.h - functions that task files name with !function, run in a python3 worker (tasks.md
 * 17).
 *
 * One worker process serves all calls.  It starts with the first call and is reused; a crash or a
 * call that takes too long ends it, fails that call, and the next call starts a new one.
 * Thread-safety: locked inside. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "text/value.h"

MG_BEGIN_C

typedef struct mg_function {
    mg_str file;  /* absolute path of the python file, NUL-terminated; empty = no function */
    mg_str name;  /* attribute in it, NUL-terminated */
    mg_str where; /* "task.yaml:12", for messages */
    mg_str place; /* "file.py:7: name", where it is defined; may be empty */
} mg_function;

/* Where the function is defined, as far as known. */
mg_str mg_function_place(const mg_function *function);

typedef struct mg_python mg_python;

/* command NULL = python3; timeout_s 0 = 60, for each call.  roots are the include paths:
 * lm_eval.tasks stands for them.  Nothing is started yet. */
mg_python *mg_python_create(const char *command, double timeout_s, const char *const *roots,
                            int64_t root_count);
void mg_python_destroy(mg_python *python); /* ends the worker; NULL is fine */
/* Asked several times a second while a call runs: true ends the worker and gives
 * MG_ERR_INTERRUPTED.  NULL = never. */
typedef bool mg_python_stop(void *context);
void mg_python_stop_when(mg_python *python, mg_python_stop *stop, void *context);
bool mg_python_started(const mg_python *python);

/* What call index gave: its value (valid during the call), or NULL and the message of its failure.
 */
typedef mg_status mg_python_done(void *context, int64_t index, const mg_value *value,
                                 const char *failure, mg_error *err);

/* Calls the function once for each item of calls, in order: operation "call_many" with the item as
 * list of arguments, "score" with [gold, response].  keywords may be NULL.  A call that fails,
 * hangs or crashes the worker is reported to done and the others go on; MG_ERR_USER_CODE when the
 * function cannot be loaded or keeps crashing, MG_ERR_TIMEOUT, MG_ERR_NOT_FOUND without python. */
MG_MUST_CHECK mg_status mg_python_call_many(mg_python *python, const char *operation,
                                            const mg_function *function, const mg_value *calls,
                                            const mg_value *keywords, mg_python_done *done,
                                            void *context, mg_error *err);

/* One request of another operation of worker.py with its further members; the value lives in arena.
 */
MG_MUST_CHECK mg_status mg_python_request(mg_python *python, const char *operation,
                                          const mg_function *function, const mg_value *members,
                                          mg_arena *arena, mg_value *value_out, mg_error *err);

MG_END_C
