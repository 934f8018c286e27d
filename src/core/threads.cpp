#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <signal.h>
#if defined(__linux__)
#include <sched.h>
#endif

namespace leaky {
namespace {

constexpr int kMostThreads = 1024;

// About what it takes to wake a thread on another core. So waiting awake costs at most as much again, and ends.
constexpr std::chrono::microseconds kLinger{50};

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

template <typename Condition>
void stay_awake_until(Condition holds) {
    const auto end = std::chrono::steady_clock::now() + kLinger;
    while (!holds() && std::chrono::steady_clock::now() < end) pause();
}

constexpr int kMostShares = 64;

// Each thread begins with a share of its own, the same one every time, because what it did last time may be in its cache
// yet; who is done helps the others.
class Job {
public:
    Job(Work work, const void* context, std::size_t pieces, int threads)
        : work_(work), context_(context), count_(std::min(threads, kMostShares)) {
        for (int i = 0; i < count_; ++i) {
            shares_[i].next.store(pieces * i / count_, std::memory_order_relaxed);
            shares_[i].end = pieces * (i + 1) / count_;
        }
    }

    void take_part(int thread) {
        for (int i = 0; i < count_; ++i) {
            Share& share = shares_[(thread + i) % count_];
            for (std::size_t piece; (piece = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;)
                work_(context_, piece);
        }
    }

private:
    struct alignas(64) Share {  // a cache line each, so that they are not in each other's way
        std::atomic<std::size_t> next;
        std::size_t end;
    };

    Work work_;
    const void* context_;
    int count_;
    Share shares_[kMostShares];
};

// A thread that has slept is mostly woken on the core where it ran last. If that is the caller's, the two take turns on it
// while another core is idle: so it came after nearly every rest of 5 ms, on a virtual machine of two cores. So workers
// keep off the core that the caller is on. Of many workers enough find other cores anyhow.
class ElsewhereThanCaller {
public:
    void keep(const std::vector<std::thread::native_handle_type>& workers) {
#if defined(__linux__)
        const int core = sched_getcpu();
        if ((core == left_ && workers.size() == told_) || workers.size() > kFew) return;
        left_ = core;
        told_ = workers.size();
        cpu_set_t others;
        if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof others, &others) != 0) return;
        CPU_CLR(core, &others);
        if (CPU_COUNT(&others) == 0) return;
        for (const auto worker : workers) pthread_setaffinity_np(worker, sizeof others, &others);
#else
        (void)workers;
#endif
    }

private:
    static constexpr std::size_t kFew = 4;
    int left_ = -1;
    std::size_t told_ = 0;
};

class Pool {
public:
    // False if another caller has the workers.
    bool run(Job& job, int helpers) {
        const std::unique_lock<std::mutex> turn(turn_, std::try_to_lock);
        if (!turn) return false;
        helpers = hire(helpers);
        elsewhere_.keep(workers_);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            job_ = &job;
            seats_ = helpers;
        }
        for (int i = 0; i < helpers; ++i) wake_.notify_one();
        job.take_part(0);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            seats_ = 0;  // who has not come by now is not waited for
        }
        // Who has come is at its last piece, and mostly done before this thread could be put to sleep and woken.
        stay_awake_until([this] { return busy_.load(std::memory_order_relaxed) == 0; });
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return busy_ == 0; });
        return true;
    }

private:
    // Workers are never dismissed: asleep they cost nothing. They are detached, and end with the process.
    int hire(int wanted) {
        const auto missing = [&] { return static_cast<int>(workers_.size()) < wanted; };
        if (!missing()) return wanted;
        sigset_t all, before;  // signals are for the threads that Python knows
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            while (missing()) {
                workers_.reserve(workers_.size() + 1);
                std::thread worker(&Pool::serve, this, static_cast<int>(workers_.size()) + 1);
                workers_.push_back(worker.native_handle());
                worker.detach();
            }
        } catch (const std::exception&) {  // no more threads or memory to be had: fewer do it too
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        return std::min(wanted, static_cast<int>(workers_.size()));
    }

    void serve(int thread) {
        for (;;) {
            // In a row of calls the next job comes sooner than a sleeper could be woken.
            stay_awake_until([this] { return seats_.load(std::memory_order_relaxed) > 0; });
            std::unique_lock<std::mutex> lock(mutex_);
            if (seats_ == 0) wake_.wait(lock);
            if (seats_ == 0) continue;  // too late for that job, and in good time for the next
            --seats_;
            ++busy_;
            Job* const job = job_;
            lock.unlock();
            job->take_part(thread);
            lock.lock();
            if (--busy_ == 0) done_.notify_one();
        }
    }

    std::mutex turn_;
    std::vector<std::thread::native_handle_type> workers_;  // changed by who has the turn
    ElsewhereThanCaller elsewhere_;

    std::mutex mutex_;  // for all below
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    std::atomic<int> seats_{0};
    std::atomic<int> busy_{0};
};

// Never destroyed: workers may outlive the statics of this library.
std::atomic<Pool*> pool{nullptr};
std::atomic<int> threads{1};

std::atomic<const OpenMp*> lender{nullptr};
std::atomic<bool> forked{false};

// In a forked child there are no workers, and the parent's locks may be held by threads that do not exist here. OpenMP
// would wait for its own for ever.
void forget_pool() {
    pool.store(new Pool, std::memory_order_release);
    forked.store(true, std::memory_order_relaxed);
}

void take_part(void* job) { static_cast<Job*>(job)->take_part(lender.load()->this_thread()); }

int cores() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    return std::max(1u, std::thread::hardware_concurrency());
}

// The number that the text begins with, 0 if that is not one above 0. OMP_NUM_THREADS may go on: "4,2".
int leading_number(const char* text, const char** end) {
    char* after;
    const long number = std::strtol(text, &after, 10);
    *end = after;
    return after != text && number > 0 ? static_cast<int>(std::min<long>(number, kMostThreads)) : 0;
}

}  // namespace

int thread_count() { return threads.load(std::memory_order_relaxed); }

void set_thread_count(int count) { threads.store(std::clamp(count, 1, kMostThreads), std::memory_order_relaxed); }

void configure_threads() {
    int count = cores();
    const char* end;
    if (const char* ours = std::getenv("LEAKY_NUM_THREADS"); ours && *ours) {
        count = leading_number(ours, &end);
        if (count == 0 || *end)
            throw std::invalid_argument("LEAKY_NUM_THREADS must be a whole number above 0, got '" + std::string(ours) +
                                        "'");
    } else if (const char* openmps = std::getenv("OMP_NUM_THREADS")) {
        if (const int number = leading_number(openmps, &end)) count = number;
    }
    set_thread_count(count);
    static std::once_flag once;
    std::call_once(once, [] {
        pool.store(new Pool, std::memory_order_release);
        pthread_atfork(nullptr, nullptr, forget_pool);
    });
}

void borrow_threads(const OpenMp& from) {
    static const OpenMp only = from;
    if (!forked.load(std::memory_order_relaxed)) lender.store(&only, std::memory_order_release);
}

void in_parallel(std::size_t pieces, Work work, const void* context) {
    const OpenMp* const other = lender.load(std::memory_order_acquire);
    const int allowed = other ? std::min(thread_count(), other->allowed()) : thread_count();
    const int threads = std::max(1, static_cast<int>(std::min<std::size_t>(allowed, pieces)));
    Job job(work, context, pieces, threads);
    if (threads > 1) {
        if (other && !forked.load(std::memory_order_relaxed))
            return other->parallel(take_part, &job, static_cast<unsigned>(threads), 0);
        Pool* const workers = pool.load(std::memory_order_acquire);
        if (workers && workers->run(job, threads - 1)) return;
    }
    job.take_part(0);
}

}  // namespace leaky
