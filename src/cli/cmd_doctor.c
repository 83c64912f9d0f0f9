/* cli/cmd_doctor.c - what this build and this machine offer, and what is missing. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "compute/cuda_device.h"

/* The first line that `python3 --version` prints; empty when there is none. */
static void python_version(char *text, size_t text_bytes)
{
    text[0] = '\0';
    FILE *pipe = popen("python3 --version 2>/dev/null", "r");
    if (pipe == NULL) {
        return;
    }
    if (fgets(text, (int)text_bytes, pipe) != NULL) {
        text[strcspn(text, "\n")] = '\0';
    }
    if (pclose(pipe) != 0) {
        text[0] = '\0';
    }
}

static mg_status run_doctor(mg_cli *cli, const mg_args *args, mg_error *err)
{
    (void)args;
    char python[64];
    python_version(python, sizeof(python));
    struct sysinfo info;
    double memory_gib =
        sysinfo(&info) == 0 ? (double)info.totalram * (double)info.mem_unit / (1 << 30) : 0;
    const char *isa = mg_isa_name(mg_isa_best());
    const char *no_card = "";
    int cards = mg_cuda_count(&no_card);
    if (mg_cli_json(cli)) {
        mg_cli_printf(
            cli,
            "{\"version\": \"%s\", \"cpu\": \"%s\", \"threads\": %d, \"memory_gib\": %.1f, "
            "\"cuda\": %d, \"python3\": \"%s\"}\n",
            MG_VERSION, isa, mg_cpu_count(), memory_gib, cards, python);
        return MG_OK;
    }
    mg_cli_printf(cli, "merganser  %s\n", MG_VERSION);
    mg_cli_printf(cli, "cpu        %s kernels, %d threads\n", isa, mg_cpu_count());
    mg_cli_printf(cli, "memory     %.1f GiB\n", memory_gib);
    if (cards == 0) {
        mg_cli_printf(cli, "gpu        none: %s\n", no_card);
    }
    for (int i = 0; i < cards; i++) {
        const mg_device *device;
        bool works = mg_device_cuda(i, &device, err) == MG_OK;
        mg_cli_printf(cli, "gpu        %s\n", works ? device->name : err->message);
    }
    if (python[0] != '\0') {
        mg_cli_printf(cli, "python3    %s, for functions that tasks name\n", python);
    } else {
        mg_cli_printf(cli, "python3    missing: tasks that name !function need it (apt-get install "
                           "python3)\n");
    }
    return MG_OK;
}

const mg_command mg_command_doctor = {
    "doctor",
    "",
    0,
    0,
    "Show the build, CPU features, GPUs, memory and python3, and what is missing.",
    NULL,
    "merganser doctor",
    NULL,
    0,
    run_doctor,
};
