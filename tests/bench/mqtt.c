#include "mqtt.h"

#include <string.h>

#define PROTOCOL "\0\4MQTT\4\0\0\0" /* name, level 4, flags (a session that is kept), no keep-alive */
#define PROTOCOL_BYTES 10
#define QOS_1_FLAG 2
#define LENGTH_BYTES_MAX 4

static size_t write_u16(size_t value, char *bytes) {
    bytes[0] = (char)(value >> 8);
    bytes[1] = (char)value;
    return 2;
}

static size_t write_string(const char *text, char *bytes) {
    size_t len = strlen(text);
    write_u16(len, bytes);
    memcpy(bytes + 2, text, len);
    return len + 2;
}

/* Seven bits a byte, the lowest first (section 2.2.3). */
static size_t write_start(enum mqtt_type type, unsigned flags, size_t rest_len, char *bytes) {
    size_t len = 1;
    bytes[0] = (char)((unsigned)type << 4 | flags);
    do {
        unsigned low = rest_len & 127;
        rest_len >>= 7;
        bytes[len++] = (char)(low | (rest_len ? 128 : 0));
    } while (rest_len);
    return len;
}

size_t mqtt_write_connect(const char *client, char *bytes) {
    size_t len = write_start(MQTT_CONNECT, 0, PROTOCOL_BYTES + 2 + strlen(client), bytes);
    memcpy(bytes + len, PROTOCOL, PROTOCOL_BYTES);
    return len + PROTOCOL_BYTES + write_string(client, bytes + len + PROTOCOL_BYTES);
}

size_t mqtt_write_subscribe(const char *topic, uint16_t id, char *bytes) {
    size_t len = write_start(MQTT_SUBSCRIBE, QOS_1_FLAG, 2 + 2 + strlen(topic) + 1, bytes);
    len += write_u16(id, bytes + len);
    len += write_string(topic, bytes + len);
    bytes[len++] = 1;
    return len;
}

size_t mqtt_write_publish(const char *topic, uint16_t id, const char *payload, size_t payload_len, char *bytes) {
    size_t len = write_start(MQTT_PUBLISH, QOS_1_FLAG, 2 + strlen(topic) + 2 + payload_len, bytes);
    len += write_string(topic, bytes + len);
    len += write_u16(id, bytes + len);
    memcpy(bytes + len, payload, payload_len);
    return len + payload_len;
}

size_t mqtt_write_puback(uint16_t id, char *bytes) {
    size_t len = write_start(MQTT_PUBACK, 0, 2, bytes);
    return len + write_u16(id, bytes + len);
}

/* ---- Reading ---- */

static bool read_start(const char *bytes, size_t len, size_t *ret_start_len, size_t *ret_rest_len) {
    size_t rest_len = 0;
    for (size_t i = 0; i < LENGTH_BYTES_MAX && i + 1 < len; i++) {
        unsigned byte = (unsigned char)bytes[i + 1];
        rest_len |= (size_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            *ret_start_len = i + 2;
            *ret_rest_len = rest_len;
            return true;
        }
    }
    return false;
}

static size_t read_u16(const char *bytes) { return (size_t)(unsigned char)bytes[0] << 8 | (unsigned char)bytes[1]; }

static void read_publish(const char *rest, size_t rest_len, struct mqtt_packet *packet) {
    size_t head_len = rest_len >= 2 ? 2 + read_u16(rest) + 2 : SIZE_MAX;
    if (head_len > rest_len)
        return;
    packet->id = (uint16_t)read_u16(rest + head_len - 2);
    packet->payload = rest + head_len;
    packet->payload_len = rest_len - head_len;
}

bool mqtt_read(const char *bytes, size_t len, struct mqtt_packet *ret_packet) {
    size_t start_len, rest_len;
    if (!read_start(bytes, len, &start_len, &rest_len) || start_len + rest_len > len)
        return false;
    *ret_packet = (struct mqtt_packet){ .type = (enum mqtt_type)((unsigned char)bytes[0] >> 4), .len = start_len + rest_len };
    if (ret_packet->type == MQTT_PUBLISH)
        read_publish(bytes + start_len, rest_len, ret_packet);
    return true;
}
