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

    void run(std::function<void()> job) {
        if (!thread.joinable()) thread = std::thread([this] { loop(); });
        {
            const std::lock_guard<std::mutex> lock(mutex);
            jobs.push_back(std::move(job));
            ++open;
        }
        hasJob.notify_one();
    }

    void waitForAll() {
        std::unique_lock<std::mutex> lock(mutex);
        areDone.wait(lock, [&] { return open == 0; });
    }

  private:
    std::thread thread;
    std::mutex mutex; // of all that follows
    std::condition_variable hasJob, areDone;
    std::deque<std::function<void()>> jobs;
    size_t open = 0; // jobs that are not done

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
                if (--open > 0) continue;
            }
            areDone.notify_one();
        }
    }
};

} // namespace face
