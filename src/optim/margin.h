/* optim/margin.h - discrete coordinates of a normal distribution, kept from freezing
 * (evolution.md 6.6).
 *
 * A coordinate that takes the nearest of a few values stops moving once nearly all samples fall on
 * one of them.  After each update its mean and its stretch a are corrected so that the values
 * beside the mean keep a probability of at least a margin.  Hamano, Saito, Nomura, Shirakawa,
 * "CMA-ES with Margin", arXiv 2205.13482.  Thread-safety: pure functions. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

/* The values that a coordinate may take, ascending and finite; count 0 (or 1) = any number. */
typedef struct mg_levels {
    const double *values;
    int64_t count;
} mg_levels;

/* The level nearest to x; halfway between two, the lower one. */
double mg_levels_nearest(const mg_levels *levels, double x);

/* Corrects one coordinate of at least two levels.  *mean is its mean, *stretch its a; its standard
 * deviation is *stretch * deviation, with deviation = sigma sqrt(C_ii) > 0.  margin is the
 * probability alpha that must stay beside the mean, 1/(n lambda) by default. */
void mg_margin_correct(const mg_levels *levels, double margin, double deviation, double *mean,
                       double *stretch);

MG_END_C
