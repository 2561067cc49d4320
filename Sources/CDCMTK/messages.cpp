// Whole messages in memory, either way and on either side: for services other than C-STORE.
#include "association.hpp"
#include <algorithm>
#include <cstdlib>
#include <dcmtk/dcmnet/dul.h>

using face::fail;
using face::failNetwork;
using face::guarded;

namespace {

/// Reads the data set that follows the command in hand; what exceeds the limit is read off and dropped.
OFCondition readDataSet(cdcmtk_association &self, size_t limit, std::string &bytes, bool &fits) {
    for (;;) {
        DUL_PDV fragment;
        const OFCondition result = face::nextDataSetFragment(self, fragment);
        if (result.bad()) return result;
        fits = fits && bytes.size() + fragment.fragmentLength <= limit;
        if (fits) bytes.append(static_cast<const char *>(fragment.data), fragment.fragmentLength);
        if (fragment.lastPDV) return EC_Normal;
    }
}

/// Sends a command or data set in fragments that the peer can take.
OFCondition sendFragments(cdcmtk_association &self, uint8_t context, DUL_DATAPDV type, const uint8_t *bytes, size_t count) {
    const size_t longest = self.association->sendPDVLength;
    size_t at = 0;
    do {
        const size_t length = std::min(longest, count - at);
        DUL_PDV fragment = {};
        fragment.fragmentLength = length;
        fragment.presentationContextID = context;
        fragment.pdvType = type;
        fragment.lastPDV = at + length == count;
        fragment.data = const_cast<uint8_t *>(bytes + at);
        DUL_PDVLIST list = {};
        list.count = 1;
        list.pdv = &fragment;
        const OFCondition result = DUL_WritePDVs(&self.association->DULassociation, &list);
        if (result.bad()) return result;
        at += length;
    } while (at < count);
    return EC_Normal;
}

} // namespace

int cdcmtk_association_receive_message(cdcmtk_association *association, size_t limit, cdcmtk_message *message, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        cdcmtk_association &self = *association;
        *message = {};
        if (self.commandSet.empty()) {
            const OFCondition result = face::readCommand(self);
            if (result == DUL_PEERREQUESTEDRELEASE) return fail(error, CDCMTK_ABORTED, "the peer asked for release"), 0;
            if (result.bad()) return failNetwork(error, result), 0;
        }
        std::string command, data;
        command.swap(self.commandSet);
        bool fits = true;
        if (self.hasDataSet) {
            const OFCondition result = readDataSet(self, limit, data, fits);
            if (result.bad()) return failNetwork(error, result), 0;
        }
        message->context = self.context;
        OFStandard::strlcpy(message->transfer_syntax, self.transferSyntaxes.at(self.context).c_str(), sizeof message->transfer_syntax);
        message->command_length = command.size();
        message->command = face::copy(command);
        if (self.hasDataSet && fits) {
            message->data_set_length = data.size();
            message->data_set = face::copy(data);
        }
        return fits ? 1 : 2;
    });
}

void cdcmtk_message_free(cdcmtk_message *message) {
    free(message->command);
    free(message->data_set);
    *message = {};
}

int cdcmtk_association_send_message(cdcmtk_association *association, const cdcmtk_message *message, cdcmtk_error *error) {
    return guarded(error, 0, [&] {
        OFCondition result = sendFragments(*association, message->context, DUL_COMMANDPDV, message->command, message->command_length);
        if (result.good() && message->data_set != nullptr)
            result = sendFragments(*association, message->context, DUL_DATASETPDV, message->data_set, message->data_set_length);
        if (result.bad()) return failNetwork(error, result), 0;
        return 1;
    });
}

int cdcmtk_association_context(cdcmtk_association *association, const char *abstract_syntax, char transfer_syntax[65]) {
    return guarded(nullptr, 0, [&]() -> int {
        T_ASC_Parameters *params = association->association->params;
        const T_ASC_PresentationContextID id = ASC_findAcceptedPresentationContextID(association->association, abstract_syntax);
        T_ASC_PresentationContext found;
        if (id == 0 || ASC_findAcceptedPresentationContext(params, id, &found).bad()) return 0;
        // As acceptor, DCMTK's own table holds disguises.
        const auto known = association->transferSyntaxes.find(id);
        OFStandard::strlcpy(transfer_syntax, known == association->transferSyntaxes.end() ? found.acceptedTransferSyntax : known->second.c_str(), 65);
        return id;
    });
}
