"""Where evidence comes from: logs, exports, documents. Knows no database."""
