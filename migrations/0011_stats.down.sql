DELETE FROM duty_marks WHERE name = 'stats';
DROP TABLE stat_moves, stat_totals, stat_series;
