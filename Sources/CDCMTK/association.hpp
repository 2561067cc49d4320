// An association as both sides of the face keep it.
#pragma once
#include "transport.hpp"
#include <dcmtk/dcmnet/assoc.h>
#include <dcmtk/dcmnet/dimse.h>
#include <dcmtk/dcmnet/dul.h>
#include <map>
#include <memory>

namespace face {
class ArrivingFile;
}

struct cdcmtk_association {
    std::unique_ptr<face::TransportLayer> layer;
    face::Transport *transport = nullptr; // beneath the association, which owns it
    T_ASC_Network *network = nullptr;
    T_ASC_Association *association = nullptr;
    int timeout = 0; // seconds to wait for a message
    std::string implementationClass, implementationVersion;
    // The transfer syntax of each accepted context, as acceptor also where DCMTK does not know it.
    std::map<T_ASC_PresentationContextID, std::string> transferSyntaxes;
    // The command in hand: taken apart, and, where it is none of C-ECHO or C-STORE, as it came.
    T_ASC_PresentationContextID context = 0;
    uint16_t command = 0, messageID = 0;
    bool hasDataSet = false;
    std::string sopClass, sopInstance, commandSet;
    std::unique_ptr<face::ArrivingFile> file;
    bool isComplete = false; // whether the last fragment of its data set is there

    cdcmtk_association();
    ~cdcmtk_association();
};

namespace face {
/// Fills the error from a condition of the network layers.
void failNetwork(cdcmtk_error *error, const OFCondition &condition);
/// The next fragment of a message; waits for a PDU where none is left.
OFCondition nextFragment(cdcmtk_association &self, DUL_PDV &fragment);
/// The next fragment of the data set that follows the command in hand.
OFCondition nextDataSetFragment(cdcmtk_association &self, DUL_PDV &fragment);
/// Reads the next command and takes it in hand.
OFCondition readCommand(cdcmtk_association &self);
/// Writes our implementation UID and version into the parameters of an association.
void introduce(T_ASC_Parameters *params, const cdcmtk_identity *identity);
} // namespace face
