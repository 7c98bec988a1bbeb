#include "edge/runtime/supervision.h"

#include <algorithm>

namespace kled::edge {

Supervision::Action Supervision::next(SteadyTime now) {
    switch (state_) {
        case State::waiting:
            if (stop_) {
                state_ = State::finished;
            } else if (at_ <= now) {
                state_ = State::starting;
                return Action::start;
            }
            break;
        case State::stopping:
            if (terminate_due_) {
                terminate_due_ = false;
                kill_due_ = true;
                at_ = now + grace_;
                return Action::terminate;
            }
            if (kill_due_ && at_ <= now) {
                kill_due_ = false;
                return Action::kill;
            }
            break;
        case State::starting:
        case State::running:
        case State::finished: break;
    }
    return Action::none;
}

SteadyTime Supervision::wake_at() const noexcept {
    const bool timed = state_ == State::waiting || (state_ == State::stopping && kill_due_);
    return timed ? at_ : SteadyTime::max();
}

void Supervision::started(SteadyTime now) {
    state_ = State::running;
    started_at_ = now;
    if (stop_) restart();
}

void Supervision::exited(int status, SteadyTime now) {
    if (running() && now - started_at_ >= settled_after) pause_ = std::chrono::seconds{0};
    last_status_ = status;
    terminate_due_ = kill_due_ = false;
    const bool again =
        policy_ == RestartPolicy::always || (policy_ == RestartPolicy::on_failure && status != 0);
    if (stop_ || !again) {
        state_ = State::finished;
        return;
    }
    pause_ = pause_ == std::chrono::seconds{0} ? first_pause : std::min(pause_ * 2, longest_pause);
    at_ = now + pause_;
    state_ = State::waiting;
    failed_ = true;
    ++restarts_;
}

void Supervision::stop() {
    stop_ = true;
    restart();
}

void Supervision::restart() {
    if (state_ != State::running) return;
    state_ = State::stopping;
    terminate_due_ = true;
}

}  // namespace kled::edge
