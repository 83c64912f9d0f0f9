/* base/hash.h - content hashes (XXH3, from libxxhash).
 *
 * They recognise unchanged inputs; they are not meant to withstand an attacker.
 * Thread-safety: functions are independent; an mg_hasher belongs to one thread. */
#pragma once

#include "base/compiler.h"
#include "base/str.h"

MG_BEGIN_C

uint64_t mg_hash64(const void *data, size_t size, uint64_t seed);

/* 128-bit content hash, fed in pieces. */
typedef struct mg_hasher mg_hasher;
#define MG_HASH_TEXT_BYTES 33 /* 32 lower-case hex digits and a NUL */

mg_hasher *mg_hasher_create(void);
void mg_hasher_add(mg_hasher *hasher, const void *data, size_t size);
void mg_hasher_text(const mg_hasher *hasher, char text_out[MG_HASH_TEXT_BYTES]);
void mg_hasher_destroy(mg_hasher *hasher); /* NULL is fine */

MG_END_C
