/* eval/python_internal.h - the program text of the python worker, made from worker.py at build
 * time, and what tests set. */
#pragma once

#include "eval/python.h"

MG_BEGIN_C

extern const char mg_worker_source[];

/* How long the interpreter may take to start; 60 s otherwise. */
void mg_python_start_within(mg_python *python, double seconds);

MG_END_C
