/* tag.h - what the thread sanitizer cannot see.
 *
 * gRPC's queues are not instrumented: who hands it a pointer releases it, and who gets that pointer
 * back, on whatever thread, acquires it. Without the sanitizer both are nothing. */
#ifndef BARY_RPC_TAG_H
#define BARY_RPC_TAG_H

#if defined(__SANITIZE_THREAD__)
#define TAG_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TAG_WATCHED 1
#endif
#endif

#ifdef TAG_WATCHED
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define tag_release(tag) __tsan_release(tag)
#define tag_acquire(tag) __tsan_acquire(tag)
#else
#define tag_release(tag) ((void)(tag))
#define tag_acquire(tag) ((void)(tag))
#endif

#endif
