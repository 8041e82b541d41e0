"""What the dialects are called."""

MYSQL_FAMILY = ("mysql", "mariadb")
