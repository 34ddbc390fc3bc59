/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Into the ring, with wake-ups by fill level: a wake-up per record costs more than the record. */
#ifndef FDSPAN_RING_BPF_H
#define FDSPAN_RING_BPF_H

#include "maps.bpf.h"

/*
 * Below a quarter of the ring the reader's time limit is soon enough. Above, it is woken each time
 * that another step is filled, not by each record.
 */
static __always_inline u64 wake_flags(u32 bytes)
{
	u64 filled = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	u64 after = filled + bytes;

	if (after < settings.wake_bytes || !settings.wake_step_bytes)
		return BPF_RB_NO_WAKEUP;
	if (filled / settings.wake_step_bytes == after / settings.wake_step_bytes)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline long send(void *record, u32 bytes)
{
	return bpf_ringbuf_output(&ring, record, bytes, wake_flags(bytes));
}

#endif
