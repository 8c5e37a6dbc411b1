# MariaDB as Debian packages it, for the tests: a stand-in for the cluster's database.
ARG BASE=python:3.11-slim-trixie
FROM ${BASE}
RUN apt-get update && apt-get install --yes --no-install-recommends mariadb-server
COPY database.sh /
CMD ["bash", "/database.sh"]
