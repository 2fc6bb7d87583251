DROP FUNCTION issue_placing, issue_complete_outside, issue_outside_set_aside;
