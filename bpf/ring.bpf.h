/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Into the ring, with wake-ups by fill level: a wake-up per record costs more than the record. */
#ifndef FDSPAN_RING_BPF_H
#define FDSPAN_RING_BPF_H

#include "maps.bpf.h"

/* What one CPU has sent since it last looked at the ring's fill, which other cores write. */
struct ring_look {
	u32 bytes;
	u32 step; /* of the fill at that look */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ring_look);
} ring_looks SEC(".maps");

/*
 * Below a quarter of the ring the reader's time limit is soon enough. Above, it is woken each time
 * that another step is filled, not by each record.
 */
static __always_inline u64 wake_flags(u32 bytes)
{
	u32 zero = 0;
	struct ring_look *look = bpf_map_lookup_elem(&ring_looks, &zero);
	u64 filled;
	u32 step;

	if (!look || !settings.wake_step_bytes)
		return 0;
	look->bytes += bytes;
	if (look->bytes < settings.fill_check_bytes)
		return BPF_RB_NO_WAKEUP;
	look->bytes = 0;
	filled = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	step = filled / settings.wake_step_bytes;
	if (step == look->step || filled < settings.wake_bytes) {
		look->step = step;
		return BPF_RB_NO_WAKEUP;
	}
	look->step = step;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline long send(void *record, u32 bytes)
{
	return bpf_ringbuf_output(&ring, record, bytes, wake_flags(bytes));
}

#endif
