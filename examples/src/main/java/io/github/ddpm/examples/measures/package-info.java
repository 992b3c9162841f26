/**
 * The measures say how good pictures are. The distances compare two sets of feature vectors, one
 * row a picture; {@link io.github.ddpm.examples.measures.DigitClassifier} makes them of digits.
 * Each is that of its paper in another feature space than Inception's, so numbers compare only with
 * numbers of the same classifier and the same count: look at them beside the floor, which is what
 * real pictures get that nobody trained on: below it these measures see no more.
 */
package io.github.ddpm.examples.measures;
