"""A log in RabbitMQ's quorum queues."""
