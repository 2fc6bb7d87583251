DROP TABLE replacement_items, replacements;
