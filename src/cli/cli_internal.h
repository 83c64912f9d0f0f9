/* cli/cli_internal.h - the life of the context: main.c alone. */
#pragma once

#include "cli/cli.h"

MG_BEGIN_C

/* Reads the common options of args, which must outlive the context.  MG_ERR_USAGE. */
MG_MUST_CHECK mg_status mg_cli_create(const mg_args *args, mg_cli **cli_out, mg_error *err);
void mg_cli_destroy(mg_cli *cli); /* NULL is fine */
/* Installs the handlers of SIGINT and SIGTERM. */
void mg_cli_catch_signals(void);

MG_END_C
