# The MySQL image sources this once, when it makes the database: who serves reads and writes rows, and nothing else.
docker_process_sql <<SQL
CREATE USER 'tandem'@'%' IDENTIFIED BY '$TANDEM_MYSQL_PASSWORD';
GRANT SELECT, INSERT, UPDATE, DELETE ON \`$MYSQL_DATABASE\`.* TO 'tandem'@'%';
SQL
