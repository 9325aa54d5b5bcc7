//! Pictures as files.

use super::*;

const BLACK: Color = Color(0, 0, 0);

#[test]
fn given_shapes_and_text_when_stored_then_svg_of_paths_without_fonts() {
    let mut picture = Picture::new(40.0, 20.0, "a < b & c".to_owned());
    picture.bar((1.0, 2.0), (11.0, 4.5), Color(194, 65, 12));
    picture.text((20.0, 18.0), 10.0, Stands::Middle, BLACK, "l");
    insta::assert_snapshot!("svg", String::from_utf8(picture.stored(Kind::Svg).unwrap()).unwrap());
}

#[test]
fn given_a_picture_when_stored_as_png_then_its_pixels_are_what_was_drawn() {
    let mut picture = Picture::new(40.0, 20.0, String::new());
    picture.bar((10.0, 5.0), (20.0, 15.0), Color(194, 65, 12));
    picture.disc((30.0, 10.0), 4.0, BLACK);
    let png = tiny_skia::Pixmap::decode_png(&picture.stored(Kind::Png).unwrap()).unwrap();
    let at = |x: u32, y: u32| {
        let pixel = png.pixel(x * 2, y * 2).unwrap();
        (pixel.red(), pixel.green(), pixel.blue())
    };
    assert_eq!((png.width(), png.height()), (80, 40));
    assert_eq!((at(2, 2), at(15, 10), at(30, 10), at(35, 10)), ((255, 255, 255), (194, 65, 12), (0, 0, 0), (255, 255, 255)));
}

#[test]
fn given_letters_when_measured_then_each_is_there_and_has_its_width() {
    let ascii: String = (' '..='~').chain("×–…·".chars()).collect();
    for letter in ascii.chars() {
        let text = letter.to_string();
        assert!(width(&text, 10.0) > 1.0, "{letter:?}");
        assert_eq!(letters::outline(&text, 10.0, (0.0, 0.0)).is_empty(), letter == ' ', "{letter:?}");
    }
    // What is not there shows that something is missing.
    assert_eq!(letters::outline("日", 10.0, (0.0, 0.0)), letters::outline("?", 10.0, (0.0, 0.0)));
    assert!((width("ii", 10.0) - 2.0 * width("i", 10.0)).abs() < 1e-4);
}

#[test]
fn given_a_text_too_long_when_cut_then_it_fits_and_shows_it() {
    assert_eq!(cut("checkout", 10.0, 100.0), "checkout");
    let short = cut("checkout", 10.0, 30.0);
    assert!(short.ends_with('…') && width(&short, 10.0) <= 30.0 && short.len() > 5, "{short}");
}

#[test]
fn given_nothing_to_draw_or_no_size_when_stored_then_no_panic() {
    let mut picture = Picture::new(10.0, 10.0, String::new());
    picture.text((0.0, 0.0), 10.0, Stands::Left, BLACK, "  ");
    picture.shape(BLACK, &[]);
    assert!(picture.stored(Kind::Png).is_ok());
    assert!(Picture::new(0.0, 0.0, String::new()).stored(Kind::Png).is_err());
}

#[test]
fn given_a_file_name_when_read_then_its_end_says_what_is_stored() {
    assert_eq!(Kind::of(Path::new("a/b.SVG")), Some(Kind::Svg));
    assert_eq!(Kind::of(Path::new("b.png")), Some(Kind::Png));
    assert_eq!(Kind::of(Path::new("b.pdf")), None);
}
