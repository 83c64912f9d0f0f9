/* cli/cli.h - what every command needs from the outside: threads, device, terminal, signals.
 *
 * Thread-safety: one thread at a time, but for mg_cli_interrupted. */
#pragma once

#include <stdbool.h>

#include "base/pool.h"
#include "cli/options.h"
#include "compute/device.h"
#include "hub/cache.h"
#include "tensor/dtype.h"

MG_BEGIN_C

typedef struct mg_cli mg_cli;

mg_pool *mg_cli_pool(mg_cli *cli); /* of --threads, made on first use */
const mg_hub *mg_cli_hub(mg_cli *cli);
/* The device of --device.  MG_ERR_DEVICE says why it cannot be had. */
MG_MUST_CHECK mg_status mg_cli_device(mg_cli *cli, const mg_device **device_out, mg_error *err);
/* The cards that --device means when it names no single one (cuda, auto); 0 for the CPU. */
int mg_cli_card_count(const mg_cli *cli);
/* --dtype: MG_F32, MG_BF16 or MG_F16; MG_DTYPE_COUNT for auto. */
mg_dtype mg_cli_dtype(const mg_cli *cli);
bool mg_cli_has_seed(const mg_cli *cli);
uint64_t mg_cli_seed(const mg_cli *cli); /* 0 when not given */
bool mg_cli_json(const mg_cli *cli);
bool mg_cli_quiet(const mg_cli *cli);
int mg_cli_verbosity(const mg_cli *cli); /* 0, 1, ... as -v was repeated */
bool mg_cli_stdout_is_terminal(const mg_cli *cli);

/* From now on warnings become lines of lines_out instead of messages; NULL ends that. */
void mg_cli_collect_warnings(mg_cli *cli, mg_buf *lines_out);

/* True once SIGINT or SIGTERM has come: finish the step at hand and return MG_ERR_INTERRUPTED.
 * A second signal ends the program at once.  Any thread. */
bool mg_cli_interrupted(void);

/* Standard output: the result.  A text from outside goes through mg_cli_put_text, which shows
 * control characters as escapes on a terminal. */
void mg_cli_printf(mg_cli *cli, const char *format, ...) MG_PRINTF(2, 3);
void mg_cli_put_text(mg_cli *cli, mg_str text);
void mg_cli_flush(mg_cli *cli);

/* Progress on standard error: one live line on a terminal, else a plain line every 30 s.
 * total 0 = unknown.  detail is shown behind the numbers and may be NULL ("best 0.712"). */
void mg_cli_progress(mg_cli *cli, const char *what, int64_t done, int64_t total,
                     const char *detail);
void mg_cli_progress_end(mg_cli *cli); /* clears the live line */

MG_END_C
