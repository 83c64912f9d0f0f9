/* eval/python_internal.h - the program text of the python worker, made from worker.py at build
 * time. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

extern const char mg_worker_source[];

MG_END_C
