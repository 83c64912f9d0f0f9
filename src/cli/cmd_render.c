/* cli/cmd_render.c - renders templates of tasks with documents, for those who write tasks. */
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/running.h"
#include "text/json.h"
#include "text/template.h"

#include <string.h>
#include <time.h>

static const mg_option options[] = {
    { "requests", 0, NULL, MG_OPTION_TEXT, "FILE", NULL, NULL,
      "JSON lines, each with a template and a document (- for standard input).", NULL },
};

typedef struct render_job {
    mg_cli *cli;
    mg_arena arena;
    mg_buf text;
    mg_buf reply;
} render_job;

static mg_status render(render_job *job, const mg_value *request, mg_error *err)
{
    const mg_value *source = mg_value_get(request, "template");
    const mg_value *doc = mg_value_get(request, "doc");
    mg_template *compiled = NULL;
    if (source == NULL || source->kind != MG_STRING) {
        return mg_fail(err, MG_ERR_FORMAT, "'template' must be a text");
    }
    if (!mg_value_is_null(doc) && doc->kind != MG_MAP) {
        return mg_fail(err, MG_ERR_FORMAT, "'doc' must be an object");
    }
    mg_value empty = mg_value_of_map(&job->arena, 0);
    MG_TRY(mg_template_compile(source->string, "template", MG_TEMPLATE_TASK, &compiled, err));
    mg_status status = mg_template_render(compiled, mg_value_is_null(doc) ? &empty : doc,
                                          (int64_t)time(NULL), &job->text, err);
    mg_template_destroy(compiled);
    return status;
}

static mg_status take_line(void *context, const mg_value *value, const char *message, mg_error *err)
{
    render_job *job = context;
    mg_error reason;
    mg_error_clear(&reason);
    mg_buf_clear(&job->reply);
    mg_buf_clear(&job->text);
    if (value == NULL) {
        mg_reply_error(&job->reply, value, message);
    } else if (render(job, value, &reason) != MG_OK) {
        mg_reply_error(&job->reply, value, reason.message);
    } else {
        mg_reply_begin(&job->reply, value);
        mg_buf_add_text(&job->reply, ", \"text\": ");
        mg_json_write_str(&job->reply, mg_buf_view(&job->text), false);
        mg_buf_add_text(&job->reply, "}\n");
    }
    mg_cli_put_text(job->cli, mg_buf_view(&job->reply));
    return mg_cli_interrupted() ? mg_fail(err, MG_ERR_INTERRUPTED, "interrupted") : MG_OK;
}

static mg_status run_render(mg_cli *cli, const mg_args *args, mg_error *err)
{
    render_job job;
    const char *path = mg_args_text(args, "requests");
    memset(&job, 0, sizeof(job));
    job.cli = cli;
    if (path == NULL) {
        return mg_fail(err, MG_ERR_USAGE, "expected --requests FILE");
    }
    mg_status status = mg_json_lines_read(path, &job.arena, take_line, &job, err);
    mg_cli_flush(cli);
    mg_buf_release(&job.text);
    mg_buf_release(&job.reply);
    mg_arena_release(&job.arena);
    return status;
}

const mg_command mg_command_render = {
    "render",
    "",
    0,
    0,
    "Render templates of tasks with documents.",
    "--requests takes JSON lines {\"id\", \"template\", \"doc\"} and prints {\"id\", \"text\"}, or "
    "{\"id\", \"error\"} with the template's line and column.",
    "merganser render --requests templates.jsonl",
    options,
    MG_ARRAY_COUNT(options),
    run_render,
};
