DELETE FROM tasks WHERE kind = 'renewal_windows';
DROP TABLE renewal_window_rests, renewal_windows;
