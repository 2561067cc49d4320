#include "assertions.hpp"
#include "guard.hpp"
#include <algorithm>
#include <cstring>
#include <memory>
#include <openjpeg-2.5/openjpeg.h>
#include <stdexcept>

namespace {

/// A codestream in memory, as OpenJPEG wants to read it.
struct Source {
    const uint8_t *bytes;
    size_t length, at;

    size_t step(size_t wanted) {
        const size_t count = std::min(wanted, length - at);
        at += count;
        return count;
    }
    static Source &of(void *user) { return *static_cast<Source *>(user); }
    static OPJ_SIZE_T read(void *buffer, OPJ_SIZE_T wanted, void *user) {
        const size_t from = of(user).at, count = of(user).step(wanted);
        if (count == 0) return static_cast<OPJ_SIZE_T>(-1);
        memcpy(buffer, of(user).bytes + from, count);
        return count;
    }
    static OPJ_OFF_T skip(OPJ_OFF_T wanted, void *user) { return wanted < 0 ? -1 : static_cast<OPJ_OFF_T>(of(user).step(static_cast<size_t>(wanted))); }
    static OPJ_BOOL seek(OPJ_OFF_T to, void *user) {
        if (to < 0 || static_cast<size_t>(to) > of(user).length) return OPJ_FALSE;
        of(user).at = static_cast<size_t>(to);
        return OPJ_TRUE;
    }
};

/// One image's way through the codec.
struct Decoding {
    opj_codec_t *codec;
    opj_stream_t *stream;
    opj_image_t *image;
    bool is_whole;

    static void run(void *of) {
        Decoding &d = *static_cast<Decoding *>(of);
        d.is_whole = opj_read_header(d.stream, d.codec, &d.image) && opj_decode(d.codec, d.stream, d.image) && opj_end_decompress(d.codec, d.stream);
    }
};

void demand(bool fine) {
    if (!fine) throw std::invalid_argument("its codestream is truncated or broken");
}

} // namespace

extern "C" const char *cgdcm_openjpeg_version(void) { return opj_version(); }

extern "C" int cgdcm_decode_jpeg2000(const uint8_t *codestream, size_t length, uint32_t columns, uint32_t rows,
                                     uint16_t *words, char *reason, size_t reason_size) {
    return cgdcm::guarded(reason, reason_size, [&] {
        Source source = {codestream, length, 0};
        const std::unique_ptr<opj_stream_t, decltype(&opj_stream_destroy)> stream(opj_stream_default_create(OPJ_TRUE), opj_stream_destroy);
        const std::unique_ptr<opj_codec_t, decltype(&opj_destroy_codec)> codec(opj_create_decompress(OPJ_CODEC_J2K), opj_destroy_codec);
        if (!stream || !codec) throw std::bad_alloc();
        opj_stream_set_user_data(stream.get(), &source, nullptr);
        opj_stream_set_user_data_length(stream.get(), length);
        opj_stream_set_read_function(stream.get(), Source::read);
        opj_stream_set_skip_function(stream.get(), Source::skip);
        opj_stream_set_seek_function(stream.get(), Source::seek);

        opj_dparameters_t parameters;
        opj_set_default_decoder_parameters(&parameters);
        demand(opj_setup_decoder(codec.get(), &parameters) && opj_decoder_set_strict_mode(codec.get(), OPJ_TRUE));
        Decoding decoding = {codec.get(), stream.get(), nullptr, false};
        const bool is_sound = cgdcm::unless_asserted(Decoding::run, &decoding);
        const std::unique_ptr<opj_image_t, decltype(&opj_image_destroy)> image(decoding.image, opj_image_destroy);
        demand(is_sound && decoding.is_whole);
        const opj_image_comp_t &samples = image->comps[0];
        demand(image->numcomps == 1 && samples.w == columns && samples.h == rows && samples.data != nullptr);
        std::transform(samples.data, samples.data + size_t(columns) * rows, words, [](OPJ_INT32 sample) { return static_cast<uint16_t>(sample); });
    });
}
