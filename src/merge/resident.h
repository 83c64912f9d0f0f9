/* merge/resident.h - source tensors in a device's memory, uploaded on first use and kept.
 *
 * A search merges the same sources thousands of times: on a card they stay there, and a candidate
 * moves nothing over the bus.  Thread-safety: one thread at a time. */
#pragma once

#include "base/error.h"
#include "compute/device.h"

MG_BEGIN_C

typedef struct mg_resident mg_resident;

/* device is borrowed and must outlive the object. */
mg_resident *mg_resident_create(const mg_device *device);
void mg_resident_destroy(mg_resident *resident); /* NULL is fine */
const mg_device *mg_resident_device(const mg_resident *resident);

/* The copy that is known under key, an address that stays and stands for the same bytes; borrowed.
 * It is made of the bytes at host when there is none yet; without host (NULL) *device_out is NULL
 * then.  MG_ERR_MEMORY when the device is full. */
MG_MUST_CHECK mg_status mg_resident_get(mg_resident *resident, mg_stream *stream, const void *key,
                                        const void *host, size_t bytes, const void **device_out,
                                        mg_error *err);

MG_END_C
