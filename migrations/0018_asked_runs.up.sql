-- Runs of duties that somebody asked for, whose begin and end live events tell of.
ALTER TABLE duties ADD COLUMN is_asked bool NOT NULL DEFAULT false; -- the run that began last was asked for
