// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Never loaded: its BTF holds every struct that user space shares, for `npm run generate`. The
 * programs' own objects hold only those that a map or a function's signature names.
 */
#include "maps.bpf.h"

struct pair_record pair_record;
struct scope_created_record scope_created_record;
struct scope_removed_record scope_removed_record;
struct scope_described_record scope_described_record;
struct slice_record slice_record;
struct scope_policy scope_policy;
struct judge_arguments judge_arguments;
struct expire_arguments expire_arguments;
struct sweep_arguments sweep_arguments;
struct held_arguments held_arguments;
struct open_file open_file;
struct open_identity open_identity;
struct open_restore open_restore;
struct restore_arguments restore_arguments;
struct self_test_arguments self_test_arguments;
struct pending_open pending_open;
struct sampling_rules sampling_rules;
struct sampling sampling;
struct slot_sampling slot_sampling;
struct slot_offers slot_offers;
struct live_settings live_settings;
struct host_namespaces host_namespaces;
struct walk_arguments walk_arguments;
struct user_range user_range;
struct filters filters_value;
struct container_metrics container_metrics;
struct metrics_settings metrics_settings;
struct buckets_arguments buckets_arguments;
struct close_arguments close_arguments;
