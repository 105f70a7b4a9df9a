/* A line between two network namespaces, with the rate and the delay that are asked for, where the
 * kernel has no netem: two TUN devices, and a thread for each way that passes packets on when the
 * line would.  Packets are handed over as the kernel makes them (up to 64 KiB, cut by nobody), and
 * count on the line as the Ethernet frames that they stand for.  Linux.
 *
 * usage: line NAMESPACE_A NAMESPACE_B BITS_PER_SECOND MICROSECONDS; each has a device "line" then.
 * It says "ready", and at SIGTERM what it did: packets, bytes, and the processor's time. */
#define _GNU_SOURCE /* setns */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 17, PLACES = 256, ETHERNET = 38 /* head, sum, preamble, gap */ };

typedef struct packet {
    uint64_t due; /* ns: it has arrived */
    size_t bytes;
    unsigned char data[MOST];
} packet;

typedef struct way { /* one direction */
    int from, to;
    double ns_per_byte;
    uint64_t delay, free_at; /* ns; when the line has sent what it was given */
    packet *ring;
    size_t first, count;
    uint64_t packets, bytes;
} way;

static void fail(const char *what)
{
    fprintf(stderr, "line: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* ---- devices -------------------------------------------------------------------------------- */

static int open_device(const char *space)
{
    char path[256];
    struct ifreq device = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    snprintf(path, sizeof(path), "/run/netns/%s", space);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    if (there < 0 || setns(there, CLONE_NEWNET) != 0)
        fail(path);
    close(there);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(device.ifr_name, sizeof(device.ifr_name), "line");
    if (fd < 0 || ioctl(fd, TUNSETIFF, &device) != 0)
        fail("/dev/net/tun");
    if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0)
        fail("TUNSETOFFLOAD");
    return fd;
}

/* ---- a direction ---------------------------------------------------------------------------- */

/* Bytes on the line: each frame has a head of its own. */
static double frames(const packet *p)
{
    struct virtio_net_hdr head;
    memcpy(&head, p->data, sizeof(head));
    size_t bytes = p->bytes - sizeof(head), n = 1;
    if (head.gso_type != VIRTIO_NET_HDR_GSO_NONE && head.gso_size > 0 && bytes > head.hdr_len)
        n = (bytes - head.hdr_len + head.gso_size - 1) / head.gso_size;
    return (double)(bytes + (n - 1) * head.hdr_len + n * ETHERNET);
}

/* Whether there was a packet. */
static int take(way *w)
{
    packet *p = &w->ring[(w->first + w->count) % PLACES];
    ssize_t got = read(w->from, p->data, MOST);
    if (got < (ssize_t)sizeof(struct virtio_net_hdr))
        return 0;
    uint64_t begin = now();
    p->bytes = (size_t)got;
    w->free_at = (w->free_at > begin ? w->free_at : begin) + (uint64_t)(frames(p) * w->ns_per_byte);
    p->due = w->free_at + w->delay;
    w->count++;
    w->packets++;
    w->bytes += p->bytes;
    return 1;
}

static void hand_over(way *w)
{
    while (w->count > 0 && w->ring[w->first].due <= now()) {
        const packet *p = &w->ring[w->first];
        (void)!write(w->to, p->data, p->bytes); /* a device that is full loses it, as a line may */
        w->first = (w->first + 1) % PLACES;
        w->count--;
    }
}

static void *run(void *user)
{
    way *w = user;
    prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
    for (;;) {
        struct pollfd in = {.fd = w->count < PLACES ? w->from : -1, .events = POLLIN};
        struct timespec wait = {0}, *until = NULL;
        if (w->count > 0) {
            uint64_t time = now(), due = w->ring[w->first].due;
            wait.tv_nsec = due > time ? (long)(due - time) % 1000000000 : 0;
            until = &wait;
        }
        (void)ppoll(&in, 1, until, NULL);
        hand_over(w);
        while (w->count < PLACES && take(w))
            hand_over(w);
    }
    return NULL;
}

/* ---- all ------------------------------------------------------------------------------------- */

static void begin(way *w, int from, int to, double bits, double delay)
{
    pthread_t thread;
    *w = (way){.from = from, .to = to, .ns_per_byte = 8e9 / bits, .delay = (uint64_t)(1e3 * delay)};
    w->ring = calloc(PLACES, sizeof(*w->ring));
    if (w->ring == NULL || pthread_create(&thread, NULL, run, w) != 0)
        fail("a thread");
}

int main(int n, char **arguments)
{
    static way ways[2];
    sigset_t ends;
    int caught;
    struct rusage used;
    if (n != 5 || strtod(arguments[3], NULL) <= 0) {
        fprintf(stderr, "usage: line NAMESPACE_A NAMESPACE_B BITS_PER_SECOND MICROSECONDS\n");
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    int a = open_device(arguments[1]), b = open_device(arguments[2]);
    double bits = strtod(arguments[3], NULL), delay = strtod(arguments[4], NULL);
    begin(&ways[0], a, b, bits, delay);
    begin(&ways[1], b, a, bits, delay);
    puts("ready");
    fflush(stdout);
    sigwait(&ends, &caught);
    getrusage(RUSAGE_SELF, &used);
    printf("{\"packets\": %llu, \"bytes\": %llu, \"processor_s\": %.3f}\n",
           (unsigned long long)(ways[0].packets + ways[1].packets),
           (unsigned long long)(ways[0].bytes + ways[1].bytes),
           (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
               1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec));
    return 0;
}
