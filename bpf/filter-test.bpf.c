// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Never attached: what test/property/path-globs-kernel.test.ts runs to see how the kernel walks given bytes. */
#include "track.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Judges text of the calling process as a path or a name of an open would be; its accept word is in the arguments. */
SEC("syscall")
int walk_text(struct walk_arguments *arguments)
{
	u32 bytes = arguments->bytes_count, base = arguments->base, zero = 0, end;
	struct filters *filters = filters_in_force();
	struct pending_open *slot = bpf_map_lookup_elem(&slots, &zero);
	struct long_record *far = NULL;

	if (!slot || !filters || base > 255)
		return -1;
	if (arguments->is_long) {
		far = bpf_map_lookup_elem(&long_records, &zero);
		if (!far || bytes > PATH_BYTES_MAX ||
		    bpf_probe_read_user(far->tail + base, bytes, (void *)arguments->text))
			return -1;
	} else {
		if (base > 63 || bytes > SLOT_TAIL_BYTES - WRITE_SLACK_BYTES - 63 ||
		    bpf_probe_read_user(slot->tail + base, bytes, (void *)arguments->text))
			return -1;
	}
	end = end_of_bytes(slot, far, live.filter_half, arguments->row, base, bytes);
	arguments->accepts = cell_at(filters, end + filters->accept_column);
	return 0;
}
