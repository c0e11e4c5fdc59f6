#!/bin/sh
# Makes the passwords, once, in the folder secrets beside this file, which only you can
# enter. In it the files are readable, for that is how a container reads them. Keep a copy
# in a safe place: without the key, sealed secrets of the fleet cannot be opened.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir secrets

random() {
    head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

# The same for all servers of the site.
head -c 32 /dev/urandom | base64 >secrets/comporta_key
redis=$(random)
cat >secrets/redis_acl <<END
user default off
user comporta on >$redis ~comporta:* &* -@all +@read +@write +@connection +eval +evalsha +script|load +info +config|get +time +cluster|slots
END
postgres=$(random)
printf %s "$postgres" >secrets/postgres_password
rabbitmq=$(random)
# An event may have 20 MiB, and RabbitMQ 4 takes 16 MiB unless it is told otherwise.
cat >secrets/rabbitmq_conf <<END
default_user = comporta
default_pass = $rabbitmq
max_message_size = 33554432
END
cat >secrets/comporta_settings <<END
log = "amqp://comporta:$rabbitmq@rabbitmq:5672/"
ledger = "postgresql://comporta:$postgres@postgres/comporta"
state = "redis://comporta:$redis@redis:6379/0"
END
chmod 644 secrets/*
