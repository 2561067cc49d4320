// Jobs beside those of the thread that hands them out.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace face {

/// Runs jobs one after the other on a thread of its own, which begins with the first.
class Aside {
  public:
    ~Aside() {
        if (!thread.joinable()) return;
        run(nullptr);
        thread.join();
    }

    /// Returns what `wait` takes.
    uint64_t run(std::function<void()> job) {
        if (!thread.joinable()) thread = std::thread([this] { loop(); });
        uint64_t number;
        {
            const std::lock_guard<std::mutex> lock(mutex);
            jobs.push_back(std::move(job));
            number = ++given;
        }
        hasJob.notify_one();
        return number;
    }

    /// Waits until that job is done.
    void wait(uint64_t number) {
        std::unique_lock<std::mutex> lock(mutex);
        isDone.wait(lock, [&] { return done >= number; });
    }
    void waitForAll() { wait(given); }

  private:
    std::thread thread;
    uint64_t given = 0; // of the handing thread
    std::mutex mutex;   // of all that follows
    std::condition_variable hasJob, isDone;
    std::deque<std::function<void()>> jobs;
    uint64_t done = 0;

    void loop() {
        for (;;) {
            std::function<void()> job;
            {
                std::unique_lock<std::mutex> lock(mutex);
                hasJob.wait(lock, [&] { return !jobs.empty(); });
                job = std::move(jobs.front());
                jobs.pop_front();
            }
            if (!job) return;
            job();
            {
                const std::lock_guard<std::mutex> lock(mutex);
                ++done;
            }
            isDone.notify_one();
        }
    }
};

} // namespace face
