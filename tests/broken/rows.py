"""The rows of RELIABILITY.md's tables of bad inputs, and where each is shown. Names of cases begin with their row."""

from __future__ import annotations

ROWS = {"S": 62, "P": 53, "D": 11, "I": 23, "R": 29, "Y": 12, "N": 16, "E": 30, "C": 10}
"""How many there are of each table."""

ELSEWHERE = {
    "S52": "test_a_hundred_thousand_tensors_are_read_in_little_time_and_memory",
    "S54": "test_for_a_terabyte_of_holes_is_said_at_once_and_leaves_nothing",
    "S61": "test_a_source_that_became_shorter_is_the_side_that_failed",
    "S62": "test_a_file_that_changes_while_it_is_copied_is_a_conflict",
    "P01": "test_nothing_is_run_and_torch_is_not_imported",
    "P02": "test_nothing_is_run_and_torch_is_not_imported",
    "P29": "test_a_tensor_whose_elements_overlap_otherwise_takes_nothing",
    "P31": "test_an_odd_file_is_read_in_little_time_and_memory",
    "P40": "test_a_name_that_two_tensors_have_is_ambiguous",
    "P41": "test_every_tied_name_and_the_rule_that_decides_it_are_told",
    "P42": "test_tied_tensors_that_are_decided_apart_are_refused_and_keep_counts",
    "P43": "test_tensors_that_overlap_and_are_decided_apart_are_an_error_that_names_both",
    "P44": "test_strides_that_do_not_overlap_are_filled_by_their_logical_index",
    "P45": "test_what_no_rule_can_fill_is_listed_with_the_reason "
    "test_what_no_rule_can_fill_is_refused_to_a_rule_and_carried_otherwise test_what_safetensors_cannot_hold",
    "P46": "test_what_no_rule_can_fill_is_listed_with_the_reason "
    "test_what_no_rule_can_fill_is_refused_to_a_rule_and_carried_otherwise test_what_safetensors_cannot_hold "
    "test_dtensors_of_a_rank_are_named_and_say_why_no_rule_fills_them",
    "P47": "test_a_rank_s_file_that_is_named_by_itself_says_what_to_run_first",
    "P49": "test_variables_that_decide_how_torch_loads_change_nothing",
    "P50": "test_all_that_torch_allows_with_weights_only_is_known",
    "D02": "test_nothing_is_run_and_torch_is_not_imported",
    "D11": "test_files_of_chunks_that_metadata_does_not_list_are_warned_of_and_carried",
    "I20": "test_a_shard_with_another_hard_link_is_refused_only_where_it_is_touched",
    "R15": "test_orthogonal_matrices_of_half_precision_are_those_of_float32_rounded",
    "R17": "test_one_empty_tensor_of_the_model_s_own_is_filled_like_any_other",
    "R25": "test_wildcards_match_a_newline_as_any_other_character",
    "R26": "test_many_rules_and_many_variables_take_time_for_each_but_not_for_each_pair",
    "R28": "test_what_torch_computes_on_a_device_is_what_the_processor_computes "
    "test_it_says_what_computed_on_which_device",
    "R29": "test_a_pattern_may_keep_integers",
    "N05": "test_reaches_a_terminal_escaped_and_whole",
    "N14": "test_a_fault_is_an_annotation_at_its_line_and_its_column",
    "E02": "test_the_input_is_refused_as_output_however_it_is_spelled test_another_hard_link_of_the_input_is_the_input",
    "E03": "test_no_clobber_refuses_whatever_exists test_no_clobber_refuses_a_file_that_appeared_meanwhile",
    "E04": "test_a_directory_that_is_missing_is_a_storage_error",
    "E06": "test_a_file_with_another_hard_link_is_refused",
    "E07": "test_a_link_to_the_file_stays_and_the_file_is_replaced",
    "E08": "test_a_link_goes_on_to_lead_to_the_result test_no_clobber_refuses_a_link_that_leads_nowhere "
    "test_a_link_that_leads_in_a_circle_is_a_storage_error",
    "E09": "test_a_new_file_that_may_not_be_made_names_the_directory",
    "E10": "test_of_another_user_in_a_sticky_directory test_of_shards_of_another_user_in_a_sticky_directory",
    "E11": "test_that_is_immutable test_that_is_immutable_takes_no_new_file test_of_shards_that_is_immutable "
    "test_an_immutable_file_beside_the_shards_that_change_is_named",
    "E12": "test_on_a_read_only_mount test_of_shards_on_a_read_only_mount",
    "E13": "test_so_is_a_file",
    "E14": "test_a_directory_is_refused_in_place_and_as_an_output "
    "test_one_shard_is_replaced_in_a_mount_point_and_a_patch_replaces_nothing",
    "E15": "test_a_directory_of_an_image_is_not_exchanged_and_stays_as_it_was "
    "test_files_of_an_image_are_replaced_one_by_one",
    "E16": "test_a_target_with_the_longest_name_is_staged_under_a_short_one",
    "E17": "test_another_directory_for_temporary_files_is_not_used",
    "E18": "test_is_said_at_once_with_what_is_free_although_the_file_system_would_fill_up_first",
    "E19": "test_a_quota_a_limit_and_others_that_write_are_not_blamed_on_what_is_free",
    "E20": "test_owner_and_group_are_kept test_extended_attributes_and_access_control_lists_are_kept "
    "test_a_new_copy_has_the_permissions_of_the_checkpoint_and_the_next_keeps_its_own "
    "test_what_the_system_does_not_allow_is_named",
    "E21": "test_in_place_touches_nothing_where_nothing_changes",
    "E22": "test_any_file_of_a_directory_that_changes_is_a_conflict",
    "E23": "test_a_touched_shard_that_changes_is_a_conflict_in_place",
    "E24": "test_what_a_killed_process_staged_is_removed_and_named test_what_a_live_process_stages_stays",
    "E25": "test_a_result_that_stdout_does_not_take_is_7_and_the_work_is_done",
    "E26": "test_no_locale_is_too_poor_for_a_report test_a_narrow_terminal_gets_no_line_that_a_name_began",
    "E27": "test_torchrun_starts_ranks_that_share_the_work",
    "E28": "test_names_that_are_not_utf_8_are_written_too test_a_name_that_is_not_unicode_is_no_bug",
    "E29": "test_says_that_the_working_directory_is_gone test_torch_is_not_used_without_a_working_directory "
    "test_has_status_5_and_one_line_if_the_working_directory_is_gone "
    "test_two_dots_behind_a_link_lead_where_the_system_says",
    "E30": "test_another_hard_link_of_the_input_is_the_input",
    "C01": "test_a_wrong_line_is_refused_in_one_line_that_helps",
    "C02": "test_a_bug_is_told_as_one",
    "C03": "test_a_signal_ends_the_work_and_what_was_there_is_as_it_was "
    "test_more_signals_do_not_disturb_the_cleaning_up",
    "C04": "test_a_signal_ends_the_work_and_what_was_there_is_as_it_was",
    "C05": "test_a_process_that_is_stopped_and_continued_completes_its_work "
    "test_what_changed_while_a_process_was_stopped_is_a_conflict",
    "C06": "test_is_left_out_under_an_environment_that_asks_for_none test_is_left_in_under_an_empty_no_color",
    "C07": "test_bad_input_is_one_clear_line_and_leaves_nothing_behind",
    "C08": "test_numbers_of_64_bits_are_written_in_full test_what_json_cannot_write_is_never_written",
    "C09": "test_a_command_that_only_reads_opens_nothing_for_writing "
    "test_of_apply_is_that_of_plan_and_what_was_written test_plan_refuses_what_apply_refuses",
    "C10": "test_the_same_run_again_gives_the_same_bytes",
}
"""Rows that are no input of the corpus, and the names of tests that show them."""

BESIDES = {
    "S53": "test_a_patch_keeps_holes test_for_a_terabyte_of_holes_is_said_at_once_and_leaves_nothing",
    "P48": "test_what_was_saved_on_a_gpu_is_filled_without_one_and_stays_what_it_was",
    "P51": "test_an_archive_of_more_than_4_gib_is_read "
    "test_values_behind_4_gib_are_patched_and_so_are_both_checksums "
    "test_torch_loads_what_is_written_from_a_strange_file",
    "I16": "test_an_index_that_lists_half_a_million_tensors_costs_little_time_and_memory",
    "N11": "test_a_name_of_a_million_characters_is_cut_in_a_table_and_whole_in_json",
    "D06": "test_tensors_that_lie_in_the_same_bytes_are_tied "
    "test_chunks_that_lie_in_the_same_bytes_are_never_filled_with_different_values",
}
"""Rows that are an input of the corpus, and the names of tests that show what a case of it cannot."""

NOT_SHOWN = {
    "P11": "a flipped bit that torch saved anew has a right checksum: nobody can see it",
}
"""Rows without a case, and why."""


def all_rows() -> list[str]:
    return [f"{table}{number:02}" for table, count in ROWS.items() for number in range(1, count + 1)]
