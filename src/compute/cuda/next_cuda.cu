/* compute/cuda/next_cuda.cu - one step of generation after the other, without the host. */
#include "compute/cuda/cuda_internal.h"

/* One thread for each row: all have read what they need before the first writes. */
__global__ __launch_bounds__(MG_NEXT_ROWS_MAX) static void next_kernel(mg_next_args args)
{
    const int r = (int)threadIdx.x;
    const mg_step_rows from = args.from;
    mg_kv_run run = { args.filler_slot, 0, 1, r };
    int token = 0;
    int turn = 0;
    int at = r < args.rows ? args.index[r] : -1;
    if (at >= 0 && from.slots[at] != args.filler_slot && args.picked[at] >= 0) {
        const mg_text_end end = args.text_ends[from.slots[at]];
        bool ended = from.positions[at] >= end.last;
        for (int64_t i = 0; i < args.end_id_count && end.ignore_ids == 0; i++) {
            ended = ended || args.picked[at] == args.end_ids[i];
        }
        if (!ended) {
            token = args.picked[at];
            run.slot = from.slots[at];
            run.first = from.positions[at] + 1;
            turn = from.turns[at] + 1;
        }
    }
    __syncthreads();
    if (r < args.rows) {
        args.to.tokens[r] = token;
        args.to.positions[r] = run.first;
        args.to.slots[r] = run.slot;
        args.to.turns[r] = turn;
        args.to.runs[r] = run;
    }
}

mg_status mg_cuda_next(mg_stream *stream, const mg_next_args *args, mg_error *err)
{
    MG_ASSERT(args->rows <= MG_NEXT_ROWS_MAX);
    if (args->rows == 0) {
        return MG_OK;
    }
    unsigned threads = (unsigned)(args->rows + 31) / 32 * 32;
    next_kernel<<<1, threads, 0, stream->handle>>>(*args);
    return mg_cuda_launched("next", err);
}
