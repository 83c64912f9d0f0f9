/* sched/frame_internal.h - what the first number of a frame from a worker says. */
#pragma once

typedef enum mg_frame_kind {
    MG_FRAME_READY,
    MG_FRAME_REFUSED, /* then a status and its message */
    MG_FRAME_ANSWER   /* then the answer itself, to the end of the frame */
} mg_frame_kind;
