#include "cli/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A name that begins with @ is one of Linux' abstract sockets, whose first byte is zero, and which have no other end than their size. */
static socklen_t fill_address(const char *name, struct sockaddr_un *ret_address) {
    size_t size = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || size >= sizeof(ret_address->sun_path))
        return 0;
    *ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret_address->sun_path, name, size);
    if (name[0] == '@')
        ret_address->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

static void tell(const char *state) {
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    socklen_t address_size = name == NULL ? 0 : fill_address(name, &address);
    if (address_size == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address, address_size);
    close(fd);
}

void notify_ready(void) { tell("READY=1"); }

void notify_stopping(void) { tell("STOPPING=1"); }
