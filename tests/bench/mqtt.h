/* Packets of MQTT 3.1.1 (OASIS standard, 2014), as much as publishing and subscribing with QoS 1 takes. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "bench.h"

#define MQTT_PACKET_BYTES_MAX (BENCH_TEXT_BYTES_MAX + 128)
#define MQTT_ACKNOWLEDGEMENT_BYTES 4

enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_SUBSCRIBE = 8,
    MQTT_SUBACK = 9,
};

struct mqtt_packet {
    enum mqtt_type type;
    size_t len;          /* of the whole packet */
    uint16_t id;         /* of a PUBLISH with QoS 1 */
    const char *payload; /* of a PUBLISH; borrowed from the bytes */
    size_t payload_len;
};

/* Each writes a packet into MQTT_PACKET_BYTES_MAX bytes and returns its length. */
/* A session that is kept when the connection ends. */
size_t mqtt_write_connect(const char *client, char *bytes);
size_t mqtt_write_subscribe(const char *topic, uint16_t id, char *bytes);
size_t mqtt_write_publish(const char *topic, uint16_t id, const char *payload, size_t payload_len, char *bytes);
size_t mqtt_write_puback(uint16_t id, char *bytes);
/* The packet at the start of `bytes`; false while it is not whole. */
bool mqtt_read(const char *bytes, size_t len, struct mqtt_packet *ret_packet);
