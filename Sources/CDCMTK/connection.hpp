// A connection before its association: what the accept loop holds.
#pragma once
#include "transport.hpp"

struct cdcmtk_connection {
    std::unique_ptr<face::Transport> transport;
    std::string request; // the A-ASSOCIATE-RQ as it comes
};
