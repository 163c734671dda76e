/* The one place of the program's version and the platform it was built for. */
#ifndef TERN_BASE_VERSION_H
#define TERN_BASE_VERSION_H

#define TERN_VERSION "0.1.0"

#if defined(__x86_64__)
#define TERN_PLATFORM "linux-x86_64"
#elif defined(__aarch64__)
#define TERN_PLATFORM "linux-arm64"
#else
#define TERN_PLATFORM "linux-other"
#endif

#endif
