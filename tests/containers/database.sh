# Makes an empty database with a user for the tests, and serves it.
set -euo pipefail
mariadb-install-db --user=mysql --datadir=/data --skip-test-db >/dev/null
cat > /first.sql <<SQL
CREATE DATABASE vaeiaf;
CREATE USER vaeiaf@'%' IDENTIFIED BY '$MLMD_PASSWORD';
GRANT ALL ON \`vaeiaf%\`.* TO vaeiaf@'%';
SQL
# Settings as in kubeflow/deploy/manifests/base/database.yaml.
exec mariadbd --no-defaults --innodb-snapshot-isolation=OFF --user=mysql --datadir=/data --socket=/data/socket --bind-address=0.0.0.0 --init-file=/first.sql
