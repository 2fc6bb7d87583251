DROP TRIGGER managed_certificates_added ON managed_certificates;
DROP TRIGGER managed_certificates_removed ON managed_certificates;
DROP TRIGGER managed_certificates_emptied ON managed_certificates;
DROP FUNCTION row_counts_added(), row_counts_removed(), row_counts_emptied(), certificate_archive(text, text, text),
    certificate_deploy(text, text, text, text), certificate_merge(text, jsonb, text, text);
DROP TABLE row_counts;
